package evidence

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/speciecash/specie/trust"
	"github.com/speciecash/specie/trust/strictjson"
)

// Bounds of a file.
const (
	MaxFile   = 16 << 20 // bytes
	MaxGroups = 16       // group documents
)

// ErrMalformed: it is no file of evidence, or a damaged one.
var ErrMalformed = errors.New("evidence: not a file of evidence")

const fileType = "specie-evidence"

// File is the papers of one payment. What is nil is not there.
type File struct {
	// Root is SHA-256 of the root certificate (DER) that they are under.
	Root [32]byte
	// Offer is the merchant's JWS over the offer's public part. Private is the
	// private part, which says what was bought.
	Offer, Private []byte
	// Spend is the payment with its owners' authorisation, as coin.EncodeSpend
	// writes it.
	Spend []byte
	// BankReceipt and MerchantReceipt are JWS over the deposit and the payment.
	BankReceipt, MerchantReceipt []byte
	// Conflict is what the bank refused the payment with: another spend of one of its
	// coins, with its owners' authorisation (coin.ConflictProof).
	Conflict []byte
	// Keyset is the bank's, of when the payment was made, and Groups are the group
	// documents that the presentation for bound coins is verified by.
	Keyset []byte
	Groups [][]byte
}

type fileJSON struct {
	Version         int             `json:"v"`
	Type            string          `json:"type"`
	Root            string          `json:"root"`
	Offer           string          `json:"offer,omitempty"`
	Private         string          `json:"private,omitempty"`
	Spend           json.RawMessage `json:"spend,omitempty"`
	BankReceipt     string          `json:"bank_receipt,omitempty"`
	MerchantReceipt string          `json:"merchant_receipt,omitempty"`
	Conflict        json.RawMessage `json:"conflict,omitempty"`
	Keyset          string          `json:"keyset,omitempty"`
	Groups          []string        `json:"groups,omitempty"`
}

// Encode writes the file as JSON, at most MaxFile bytes, or ErrMalformed.
func (f *File) Encode() ([]byte, error) {
	j := fileJSON{
		Version: 1, Type: fileType, Root: base64.RawURLEncoding.EncodeToString(f.Root[:]), Offer: string(f.Offer),
		Private: base64.RawURLEncoding.EncodeToString(f.Private), Spend: f.Spend, BankReceipt: string(f.BankReceipt),
		MerchantReceipt: string(f.MerchantReceipt), Conflict: f.Conflict, Keyset: string(f.Keyset),
	}
	for _, g := range f.Groups {
		j.Groups = append(j.Groups, string(g))
	}
	out, err := json.MarshalIndent(j, "", " ")
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if len(out) >= MaxFile || len(f.Groups) > MaxGroups {
		return nil, fmt.Errorf("%w: %d bytes, %d group documents", ErrMalformed, len(out), len(f.Groups))
	}
	return append(out, '\n'), nil
}

// Parse reads a file and believes nothing in it. ErrMalformed.
func Parse(data []byte) (*File, error) {
	var j fileJSON
	if err := strictjson.Unmarshal(data, MaxFile, &j); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMalformed, err)
	}
	if j.Type != fileType || j.Version != 1 {
		return nil, fmt.Errorf("%w: of another kind or version", ErrMalformed)
	}
	root, err := base64.RawURLEncoding.Strict().DecodeString(j.Root)
	if err != nil || len(root) != 32 {
		return nil, fmt.Errorf("%w: root", ErrMalformed)
	}
	f := &File{
		Root: [32]byte(root), Offer: []byte(j.Offer), Spend: j.Spend, BankReceipt: []byte(j.BankReceipt),
		MerchantReceipt: []byte(j.MerchantReceipt), Conflict: j.Conflict, Keyset: []byte(j.Keyset),
	}
	if f.Private, err = base64.RawURLEncoding.Strict().DecodeString(j.Private); err != nil {
		return nil, fmt.Errorf("%w: private part", ErrMalformed)
	}
	if len(j.Groups) > MaxGroups {
		return nil, fmt.Errorf("%w: %d group documents", ErrMalformed, len(j.Groups))
	}
	for _, g := range j.Groups {
		f.Groups = append(f.Groups, []byte(g))
	}
	for _, jws := range append([][]byte{f.Offer, f.BankReceipt, f.MerchantReceipt, f.Keyset}, f.Groups...) {
		if len(jws) > trust.MaxJWS {
			return nil, fmt.Errorf("%w: a paper of %d bytes", ErrMalformed, len(jws))
		}
	}
	return f, nil
}
