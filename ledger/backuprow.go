package ledger

import (
	"fmt"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// backupCodec is the one way in which backups write and read CBOR.
var backupCodec = sync.OnceValue(func() struct {
	cbor.EncMode
	cbor.DecMode
} {
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err) // constant options
	}
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   4,
		MaxArrayElements:  maxHeads,
		MaxMapPairs:       16,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return struct {
		cbor.EncMode
		cbor.DecMode
	}{enc, dec}
})

// maxHeads bounds the journals of one backup. No list of a row is longer.
const maxHeads = 1 << 14

// The wire types are what a row is in CBOR: a map with one entry, whose key
// names the kind and whose value is an array. Ids are strings of 32 bytes;
// times are microseconds since 1970, 0 for none.
type (
	wireRow struct {
		Heads   *[]wireHead  `cbor:"1,keyasint,omitempty"`
		Meta    *wireMeta    `cbor:"2,keyasint,omitempty"`
		Epoch   string       `cbor:"3,keyasint,omitempty"`
		Account *wireAccount `cbor:"4,keyasint,omitempty"`
		Token   *wireToken   `cbor:"5,keyasint,omitempty"`
		Record  *wireRecord  `cbor:"6,keyasint,omitempty"`
		Op      *wireOp      `cbor:"7,keyasint,omitempty"`
		Answer  *wireAnswer  `cbor:"8,keyasint,omitempty"`
		Hold    *wireHold    `cbor:"9,keyasint,omitempty"`
		Try     *wireTry     `cbor:"10,keyasint,omitempty"`
	}
	wireHeader struct {
		Version      int        `cbor:"version"`
		Bank         string     `cbor:"bank"`
		RestoreEpoch uint64     `cbor:"restore_epoch"`
		At           int64      `cbor:"at"`
		Heads        []wireHead `cbor:"heads"`
	}
	wireHead struct {
		_    struct{} `cbor:",toarray"`
		Lane string
		Seq  uint64
		Hash wireID
	}
	wireMeta struct {
		_     struct{} `cbor:",toarray"`
		Key   string
		Value []byte
		Rev   uint64
	}
	wireAccount struct {
		_         struct{} `cbor:",toarray"`
		ID        string
		Kind      string
		Name      string
		Key       []byte
		Currency  string
		CreatedAt int64
		Suspended bool
		Reason    string
		Rev       uint64
	}
	wireToken struct {
		_                               struct{} `cbor:",toarray"`
		Hash                            wireID
		Account, Label                  string
		Scopes                          []string
		CreatedAt, ExpiresAt, RevokedAt int64
	}
	wireRecord struct {
		_       struct{} `cbor:",toarray"`
		Lane    string
		Seq     uint64
		Event   string
		Subject []byte
		Rev     uint64
		Digest  wireID
		Prev    wireID
		Hash    wireID
	}
	wireOp struct {
		_                             struct{} `cbor:",toarray"`
		ID                            wireID
		Kind, Account                 string
		Issuer, Acquirer, Lane, State string
		Request, Answer               []byte
		At                            int64
		Spends                        []wireSpend
		Postings                      []wirePosting
		Quotas                        []wireQuota
	}
	wireSpend struct {
		_     struct{} `cbor:",toarray"`
		Epoch string
		ID    wireID
		Value int64
	}
	wirePosting struct {
		_        struct{} `cbor:",toarray"`
		Account  string
		Amount   int64
		Currency string
	}
	wireQuota struct {
		_      struct{} `cbor:",toarray"`
		Name   string
		Amount int64
	}
	wireAnswer struct {
		_      struct{} `cbor:",toarray"`
		Op     wireID
		Rev    uint64
		State  string
		Answer []byte
	}
	wireHold struct {
		_         struct{} `cbor:",toarray"`
		ID        wireID
		Account   string
		Coins     []wireSpend
		Amount    int64
		At, Until int64
		Strikes   int
		Released  bool
	}
	wireTry struct {
		_    struct{} `cbor:",toarray"`
		Hold wireID
		Try  wireID
	}
)

// wireID is a string of exactly 32 bytes.
type wireID [32]byte

// MarshalCBOR implements cbor.Marshaler.
func (d wireID) MarshalCBOR() ([]byte, error) { return append([]byte{0x58, 32}, d[:]...), nil }

// UnmarshalCBOR implements cbor.Unmarshaler.
func (d *wireID) UnmarshalCBOR(b []byte) error {
	if len(b) != 34 || b[0] != 0x58 || b[1] != 32 {
		return fmt.Errorf("not a string of 32 bytes")
	}
	copy(d[:], b[2:])
	return nil
}

func wireTime(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func timeOf(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.UnixMicro(at).UTC()
}

// each converts a list; an empty one becomes nil.
func each[A, B any](in []A, convert func(A) B) []B {
	var out []B
	for _, a := range in {
		out = append(out, convert(a))
	}
	return out
}

func toWireHead(h Head) wireHead { return wireHead{Lane: h.Lane, Seq: h.Seq, Hash: h.Hash} }
func (h wireHead) head() Head    { return Head{Lane: h.Lane, Seq: h.Seq, Hash: h.Hash} }

func toWireSpend(s Spend) wireSpend { return wireSpend{Epoch: s.Epoch, ID: s.ID, Value: s.Value} }
func (s wireSpend) spend() Spend    { return Spend{Epoch: s.Epoch, ID: s.ID, Value: s.Value} }

func encodeHeader(h *BackupHeader) ([]byte, error) {
	return backupCodec().Marshal(wireHeader{h.Version, h.Bank, h.RestoreEpoch, h.At.UnixMicro(), each(h.Heads, toWireHead)})
}

func decodeHeader(b []byte) (*BackupHeader, error) {
	var w wireHeader
	if err := backupCodec().Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrCorrupt, err)
	}
	h := &BackupHeader{w.Version, w.Bank, w.RestoreEpoch, timeOf(w.At), each(w.Heads, wireHead.head)}
	if h.Version != 1 || !validText(h.Bank, 200) || h.RestoreEpoch > MaxAmount || !validTime(h.At) {
		return nil, corrupt("header of version %d at %v", h.Version, h.At)
	}
	for i, head := range h.Heads {
		if !ValidLane(head.Lane) || head.Seq == 0 || head.Seq > MaxAmount || i > 0 && h.Heads[i-1].Lane >= head.Lane {
			return nil, corrupt("header with heads out of order")
		}
	}
	return h, nil
}

func encodeRow(r *Row) ([]byte, error) {
	var w wireRow
	switch {
	case r.Heads != nil:
		heads := append([]wireHead{}, each(*r.Heads, toWireHead)...) // none is not nothing
		w.Heads = &heads
	case r.Meta != nil:
		w.Meta = &wireMeta{Key: r.Meta.Key, Value: r.Meta.Value, Rev: r.Meta.Rev}
	case r.Epoch != "":
		w.Epoch = r.Epoch
	case r.Account != nil:
		a := r.Account
		w.Account = &wireAccount{ID: a.ID, Kind: a.Kind, Name: a.Name, Key: a.Key, Currency: a.Currency,
			CreatedAt: wireTime(a.CreatedAt), Suspended: a.Suspended, Reason: a.Reason, Rev: a.Rev}
	case r.Token != nil:
		k := r.Token
		w.Token = &wireToken{Hash: k.Hash, Account: k.Account, Label: k.Label, Scopes: k.Scopes,
			CreatedAt: wireTime(k.CreatedAt), ExpiresAt: wireTime(k.ExpiresAt), RevokedAt: wireTime(k.RevokedAt)}
	case r.Record != nil:
		c := r.Record
		w.Record = &wireRecord{Lane: c.Lane, Seq: c.Seq, Event: string(c.Event), Subject: c.Subject, Rev: c.Rev,
			Digest: c.Digest, Prev: c.Prev, Hash: c.Hash}
	case r.Op != nil:
		w.Op = toWireOp(r.Op)
	case r.Answer != nil:
		w.Answer = &wireAnswer{Op: r.Answer.Op, Rev: r.Answer.Rev, State: r.Answer.State, Answer: r.Answer.Answer}
	case r.Hold != nil:
		h := r.Hold
		w.Hold = &wireHold{ID: h.ID, Account: h.Account, Coins: each(h.Coins, toWireSpend), Amount: h.Amount,
			At: wireTime(h.At), Until: wireTime(h.Until), Strikes: h.Strikes, Released: h.Released}
	case r.Try != nil:
		w.Try = &wireTry{Hold: r.Try.Hold, Try: r.Try.Try}
	}
	return backupCodec().Marshal(w)
}

func toWireOp(op *Op) *wireOp {
	return &wireOp{ID: op.ID, Kind: op.Kind, Account: op.Account, Issuer: op.Issuer, Acquirer: op.Acquirer,
		Lane: op.Lane, State: op.State, Request: op.Request, Answer: op.Answer, At: wireTime(op.At),
		Spends: each(op.Spends, toWireSpend),
		Postings: each(op.Postings, func(p Posting) wirePosting {
			return wirePosting{Account: p.Account, Amount: p.Amount, Currency: p.Currency}
		}),
		Quotas: each(op.Quotas, func(q Quota) wireQuota { return wireQuota{Name: q.Name, Amount: q.Amount} })}
}

// decodeRow reads one row; that it is well formed is RowChecker's to see.
func decodeRow(b []byte) (*Row, error) {
	var w wireRow
	if err := backupCodec().Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("%w: row: %w", ErrCorrupt, err)
	}
	var r Row
	if w.Heads != nil {
		heads := append([]Head{}, each(*w.Heads, wireHead.head)...)
		r.Heads = &heads
	}
	if w.Meta != nil {
		r.Meta = &MetaRow{w.Meta.Key, w.Meta.Value, w.Meta.Rev}
	}
	r.Epoch = w.Epoch
	if a := w.Account; a != nil {
		r.Account = &Account{ID: a.ID, Kind: a.Kind, Name: a.Name, Key: a.Key, Currency: a.Currency,
			CreatedAt: timeOf(a.CreatedAt), Suspended: a.Suspended, Reason: a.Reason, Rev: a.Rev}
	}
	if k := w.Token; k != nil {
		r.Token = &AccessToken{Hash: k.Hash, Account: k.Account, Label: k.Label, Scopes: k.Scopes,
			CreatedAt: timeOf(k.CreatedAt), ExpiresAt: timeOf(k.ExpiresAt), RevokedAt: timeOf(k.RevokedAt)}
	}
	if c := w.Record; c != nil {
		r.Record = &Record{Lane: c.Lane, Seq: c.Seq, Event: Event(c.Event), Subject: c.Subject, Rev: c.Rev,
			Digest: c.Digest, Prev: c.Prev, Hash: c.Hash}
	}
	if w.Op != nil {
		r.Op = w.Op.op()
	}
	if a := w.Answer; a != nil {
		r.Answer = &AnswerRow{a.Op, a.Rev, a.State, a.Answer}
	}
	if h := w.Hold; h != nil {
		r.Hold = &Hold{ID: h.ID, Account: h.Account, Coins: each(h.Coins, wireSpend.spend), Amount: h.Amount,
			At: timeOf(h.At), Until: timeOf(h.Until), Strikes: h.Strikes, Released: h.Released}
	}
	if w.Try != nil {
		r.Try = &TryRow{w.Try.Hold, w.Try.Try}
	}
	return &r, nil
}

func (o *wireOp) op() *Op {
	return &Op{ID: o.ID, Kind: o.Kind, Account: o.Account, Issuer: o.Issuer, Acquirer: o.Acquirer,
		Lane: o.Lane, State: o.State, Request: o.Request, Answer: o.Answer, At: timeOf(o.At),
		Spends: each(o.Spends, wireSpend.spend),
		Postings: each(o.Postings, func(p wirePosting) Posting {
			return Posting{Account: p.Account, Amount: p.Amount, Currency: p.Currency}
		}),
		Quotas: each(o.Quotas, func(q wireQuota) Quota { return Quota{Name: q.Name, Amount: q.Amount} })}
}
