package ledger

// Row is one piece of a dumped store. Exactly one field is set. The order is:
// Heads, the ends of all journals by lane; Meta, Epochs, Accounts and Tokens as
// they stand now; then, lane by lane, each journal record, followed by the Op
// or Answer that it is about, if it is about one; then Holds, each followed by
// the tries under it.
type Row struct {
	Heads   *[]Head
	Meta    *MetaRow
	Epoch   string
	Account *Account
	Token   *AccessToken
	Record  *Record
	Op      *Op // with the state and answer that it was recorded with
	Answer  *AnswerRow
	Hold    *Hold
	Try     *TryRow
}

// MetaRow is a value of the store's identity.
type MetaRow struct {
	Key   string
	Value []byte
	Rev   uint64
}

// AnswerRow is what a SetAnswer settled.
type AnswerRow struct {
	Op     ID
	Rev    uint64
	State  string
	Answer []byte
}

// TryRow is a wrong try that was counted under a hold.
type TryRow struct {
	Hold ID
	Try  [32]byte
}
