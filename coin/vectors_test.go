package coin_test

//go:generate env SPECIE_WRITE_PAGES=1 go test -count=1 -run UpToDate .

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/speciecash/specie/api/apitest"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/frame"
	"github.com/speciecash/specie/trust"
)

const vectorsFile = "../docs/vectors/specie-1.json"

// vectors are worked examples for whoever writes a client in another language.
// Bytes are lower-case hex but where the text on the wire is shown. The keys
// are worth nothing.
type vectors struct {
	Note    string          `json:"note"`
	Frame   frameVector     `json:"frame"`
	Key     keyVector       `json:"key"`
	Coin    coinVector      `json:"coin"`
	Outputs outputsVector   `json:"outputs"`
	Offer   offerVector     `json:"offer"`
	Spend   spendVector     `json:"spend"`
	Receipt json.RawMessage `json:"receipt_payload"`
	Refund  refundVector    `json:"refund"`

	LinkQR   linkQRVector   `json:"link_qr"`
	Envelope envelopeVector `json:"envelope"`
	Words    []wordsVector  `json:"words"`
}

type frameVector struct {
	Parts  []string `json:"parts"`
	Bytes  string   `json:"bytes"`
	SHA256 string   `json:"sha256"`
}

type keyVector struct {
	Modulus string `json:"modulus"`
	Private string `json:"private_exponent"`
	SPKI    string `json:"spki"`
	KeyID   string `json:"kid"`
}

type coinVector struct {
	Seed        string `json:"wallet_seed"`
	Index       uint64 `json:"index"`
	OwnerSeed   string `json:"owner_ed25519_seed"`
	Owner       string `json:"owner"`
	Message     string `json:"message"`
	Randomizer  string `json:"randomizer"`
	Prepared    string `json:"prepared"`
	ID          string `json:"id"`
	Blinded     string `json:"blinded"`
	BlindSigned string `json:"blind_signature"`
	Signature   string `json:"signature"`
	Text        string `json:"text"`
}

type outputsVector struct {
	List       []coin.OutputJSON `json:"list"`
	Digest     string            `json:"digest"`
	Made       []string          `json:"made"`
	Account    string            `json:"account"`
	Withdrawal string            `json:"withdrawal_op"`
}

type offerVector struct {
	MerchantSeed string `json:"merchant_ed25519_seed"`
	MerchantID   string `json:"merchant_id"`
	Private      string `json:"private_part"`
	Public       string `json:"public_part"`
	Payee        string `json:"payee"`
	PrivateHash  string `json:"private_hash"`
	Digest       string `json:"digest"`
	JWS          string `json:"jws"`
	Link         string `json:"link"`
}

type spendVector struct {
	Wire   json.RawMessage `json:"wire"`
	Frame  string          `json:"frame"`
	Digest string          `json:"digest"`
	Op     string          `json:"op"`
}

type refundVector struct {
	Deposit string `json:"deposit_op"`
	Op      string `json:"op"`
	Payload string `json:"order_payload"`
}

// rawSign is a token's CKM_RSA_X_509.
func rawSign(key *rsa.PrivateKey, blinded []byte) []byte {
	s := new(big.Int).Exp(new(big.Int).SetBytes(blinded), key.D, key.N)
	return s.FillBytes(make([]byte, key.Size()))
}

func newVectors(t *testing.T) *vectors {
	t.Helper()
	m, x := theMint(), hex.EncodeToString
	v := &vectors{Note: "Worked examples of docs/api.md and docs/protocol.md. Bytes in hex unless they are shown as on the wire. Made by go generate ./coin; keys are for tests only."}
	parts := [][]byte{[]byte("specie"), nil, {1, 2, 3}}
	v.Frame = frameVector{[]string{x(parts[0]), "", x(parts[2])}, x(frame.Join(parts...)), hash(frame.Digest(parts...))}

	d, key := m.eight, m.private[m.eight.KeyID]
	v.Key = keyVector{x(key.N.Bytes()), x(key.D.Bytes()), x(must(coin.MarshalKey(&key.PublicKey))), d.KeyID.String()}

	seed := coin.Seed(bytes.Repeat([]byte{7}, 32))
	planchetOf := func(d *coin.Denomination, i uint64) (ed25519.PrivateKey, *coin.Planchet) {
		owner := must(coin.OwnerKey(seed, bankID, d.KeyID, i))
		return owner, must(coin.NewPlanchet(seed, bankID, d, i, coin.Owner(owner.Public().(ed25519.PublicKey))))
	}
	owner, planchet := planchetOf(&d, 1)
	blindSignature := rawSign(key, planchet.Blinded())
	c := must(planchet.Finalize(blindSignature))
	id := c.ID()
	v.Coin = coinVector{
		Seed: x(seed[:]), Index: 1, OwnerSeed: x(owner.Seed()), Owner: x(c.Owner), Message: x(c.Message()),
		Randomizer: x(c.Randomizer[:]), Prepared: x(c.Prepared()), ID: x(id[:]), Blinded: x(planchet.Blinded()),
		BlindSigned: x(blindSignature), Signature: x(c.Signature), Text: must(c.Text()),
	}

	oneOwner, one := planchetOf(&m.one, 1)
	_, also := planchetOf(&m.one, 2)
	outputs := []coin.Output{one.Output(), also.Output()}
	v.Outputs = outputsVector{
		List: coin.NewOutputsJSON(outputs), Digest: hash(coin.OutputsDigest(outputs)),
		Account: "holder/AAAAAAAAAAAAAAAAAAAAAA", Withdrawal: hash(coin.WithdrawalOp("holder/AAAAAAAAAAAAAAAAAAAAAA", outputs)),
	}
	for _, o := range outputs {
		v.Outputs.Made = append(v.Outputs.Made, hash(frame.Digest([]byte("specie/made/1"), o.KeyID[:], o.Blinded)))
	}

	offer := v.offer(t)
	s := must(coin.NewSpend(coin.Spend{
		Purpose: coin.Pay, Bank: bankID, OfferDigest: sha256.Sum256(offer.Public), Amount: 6, Currency: "EUR",
		Coins: []coin.Coin{*c}, ToIssuer: outputs, IssuedAt: now.Unix(),
	}))
	a := &coin.Authorisation{Bearer: must(s.SignBearer(func(*coin.Coin) (ed25519.PrivateKey, error) { return owner, nil }))}
	v.Spend = spendVector{Wire: must(coin.EncodeSpend(s, a)), Frame: x(s.Frame()), Digest: hash(s.Digest()), Op: hash(s.Op())}

	r := coin.DepositReceipt{
		Bank: bankID, Op: s.Op(), OfferDigest: s.OfferDigest, SpendDigest: s.Digest(), Amount: s.Amount, Currency: s.Currency,
		Payee: offer.Offer.Payee, At: now,
	}
	v.Receipt = segment(t, must(r.Sign(m.signingKey, m.signing)), 1)

	small := must(one.Finalize(rawSign(m.private[m.one.KeyID], one.Blinded())))
	v.LinkQR = newLinkQRVector(t, v.Offer.Link)
	v.Envelope = newEnvelopeVector(t, coin.EnvelopeCoin{Coin: *c, Owner: owner}, coin.EnvelopeCoin{Coin: *small, Owner: oneOwner})
	v.Words = newWordsVectors()

	back := outputs[:1]
	order := coin.RefundOrder{
		Bank: bankID, Deposit: s.Op(), Outputs: coin.OutputsDigest(back), Amount: 1, Currency: "EUR", At: now,
	}
	merchant := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	v.Refund = refundVector{hash(s.Op()), hash(coin.RefundOp(s.Op(), back)), string(segment(t, must(order.Sign(merchant)), 1))}
	return v
}

// offer makes the offer with salts and nonce that are always the same.
func (v *vectors) offer(t *testing.T) *coin.SignedOffer {
	t.Helper()
	merchant := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	id := coin.MerchantID(merchant.Public().(ed25519.PublicKey))
	salt, salt2 := [32]byte(bytes.Repeat([]byte{1}, 32)), [32]byte(bytes.Repeat([]byte{2}, 32))
	b64 := base64.RawURLEncoding.EncodeToString
	private := []byte(`{"merchant":"` + id + `","name":"Café Zum Taler","order":"table 7","purpose":"lunch","payee_salt":"` +
		b64(salt[:]) + `","private_salt":"` + b64(salt2[:]) + `"}`)
	o := coin.Offer{
		Mode: coin.Online, Till: "1", Nonce: [32]byte(bytes.Repeat([]byte{3}, 32)), Acquirer: bankID, Amount: 6, Currency: "EUR",
		Expires: now.AddDate(0, 0, 1), Kinds: []coin.Kind{coin.Bearer}, Parts: 1,
		Payee: coin.PayeeHash(salt, id), Private: sha256.Sum256(append(salt2[:], private...)),
	}
	public := must(o.Bytes())
	jws := must(trust.SignKeyed(coin.TypOffer, public, merchant))
	signed := must(coin.VerifyOffer(jws, private, now))
	link := must(signed.Link("https://till.example/pay"))
	v.Offer = offerVector{
		MerchantSeed: hex.EncodeToString(merchant.Seed()), MerchantID: id, Private: string(private), Public: string(public),
		Payee: hash(o.Payee), PrivateHash: hash(o.Private), Digest: hash(signed.Digest), JWS: string(jws), Link: must(link.Text()),
	}
	return signed
}

func hash(h [32]byte) string { return hex.EncodeToString(h[:]) }

// un and un64 read what stands in the vectors, joined and sum are the pages' frame
// and SHA-256.
func un(text string) []byte { return must(hex.DecodeString(text)) }

func un64(text string) []byte { return must(base64.RawURLEncoding.Strict().DecodeString(text)) }

func joined(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(p))), p...)
	}
	return out
}

func sum(b ...[]byte) string { return hash(sha256.Sum256(bytes.Join(b, nil))) }

// text is a short CBOR text (major type 3) or byte string (2).
func text(major byte, b []byte) []byte {
	if len(b) < 24 {
		return append([]byte{major<<5 | byte(len(b))}, b...)
	}
	return append([]byte{major<<5 | 24, byte(len(b))}, b...)
}

// coinMessage is what the bank signs of a bearer coin.
func coinMessage(kid, owner []byte) []byte {
	return bytes.Join([][]byte{{0x85}, text(3, []byte("specie/coin/1")), text(3, []byte(bankID)), text(2, kid), text(3, []byte("bearer")), text(2, owner)}, nil)
}

// segment is one of a JWS's three.
func segment(t *testing.T, jws []byte, i int) []byte {
	t.Helper()
	return must(base64.RawURLEncoding.DecodeString(strings.Split(string(jws), ".")[i]))
}

func TestTheVectorsAreUpToDate(t *testing.T) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(newVectors(t)); err != nil {
		t.Fatal(err)
	}
	apitest.Page(t, vectorsFile, b.Bytes())
}

// TestTheVectorsFollowFromThePage recomputes the file by what docs/api.md
// says, with the standard library alone.
func TestTheVectorsFollowFromThePage(t *testing.T) {
	var v vectors
	if err := json.Unmarshal(must(os.ReadFile(vectorsFile)), &v); err != nil {
		t.Fatal(err)
	}
	number := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	kid := un64(v.Key.KeyID)
	message := coinMessage(kid, un(v.Coin.Owner))
	var outputs [][]byte
	var made []string
	for _, o := range v.Outputs.List {
		outputs = append(outputs, un64(o.KeyID), un64(o.Blinded))
		made = append(made, sum(joined([]byte("specie/made/1"), un64(o.KeyID), un64(o.Blinded))))
	}
	digest, zero := sum(joined(outputs...)), make([]byte, 32)
	frame := joined([]byte("specie/spend/1"), []byte("pay"), []byte(bankID), un(v.Offer.Digest), number(6), []byte("EUR"),
		un(v.Coin.ID), un(digest), un(sum()), zero, number(uint64(now.Unix())))
	var private struct {
		Salt  string `json:"payee_salt"`
		Other string `json:"private_salt"`
	}
	if err := json.Unmarshal([]byte(v.Offer.Private), &private); err != nil {
		t.Fatal(err)
	}
	owner := ed25519.NewKeyFromSeed(un(v.Coin.OwnerSeed))
	merchant := ed25519.NewKeyFromSeed(un(v.Offer.MerchantSeed)).Public().(ed25519.PublicKey)
	thumb := sum([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + base64.RawURLEncoding.EncodeToString(merchant) + `"}`))
	for name, c := range map[string][2]string{
		"frame":             {v.Frame.Bytes, hex.EncodeToString(joined(un(v.Frame.Parts[0]), nil, un(v.Frame.Parts[2])))},
		"frame's hash":      {v.Frame.SHA256, sum(un(v.Frame.Bytes))},
		"key id":            {hex.EncodeToString(kid), sum(un(v.Key.SPKI))},
		"message":           {v.Coin.Message, hex.EncodeToString(message)},
		"prepared":          {v.Coin.Prepared, v.Coin.Randomizer + v.Coin.Message},
		"coin id":           {v.Coin.ID, sum(un(v.Coin.Prepared))},
		"owner":             {v.Coin.Owner, hex.EncodeToString(owner.Public().(ed25519.PublicKey))},
		"outputs":           {v.Outputs.Digest, digest},
		"withdrawal":        {v.Outputs.Withdrawal, sum(joined(append([][]byte{[]byte(v.Outputs.Account)}, outputs...)...))},
		"made outputs":      {strings.Join(v.Outputs.Made, " "), strings.Join(made, " ")},
		"merchant id":       {hex.EncodeToString(un64(v.Offer.MerchantID)), thumb},
		"payee":             {v.Offer.Payee, sum(un64(private.Salt), []byte(v.Offer.MerchantID))},
		"private part":      {v.Offer.PrivateHash, sum(un64(private.Other), []byte(v.Offer.Private))},
		"offer's digest":    {v.Offer.Digest, sum([]byte(v.Offer.Public))},
		"offer in its JWS":  {v.Offer.Public, string(segment(t, []byte(v.Offer.JWS), 1))},
		"spend":             {v.Spend.Frame, hex.EncodeToString(frame)},
		"spend's digest":    {v.Spend.Digest, sum(frame)},
		"op":                {v.Spend.Op, sum(joined(un(v.Offer.Digest), []byte(bankID), un(v.Coin.ID)))},
		"refund":            {v.Refund.Op, sum(joined([]byte("specie/refund/1"), un(v.Spend.Op), un(sum(joined(outputs[:2]...)))))},
		"refund's deposit":  {v.Refund.Deposit, v.Spend.Op},
		"coin's text":       {v.Coin.Text, wire(&v, kid)},
		"the blind signing": {v.Coin.BlindSigned, hex.EncodeToString(new(big.Int).Exp(new(big.Int).SetBytes(un(v.Coin.Blinded)), new(big.Int).SetBytes(un(v.Key.Private)), new(big.Int).SetBytes(un(v.Key.Modulus))).FillBytes(make([]byte, 256)))},
	} {
		if diff := cmp.Diff(c[0], c[1]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	pub := &rsa.PublicKey{N: new(big.Int).SetBytes(un(v.Key.Modulus)), E: 65537}
	hashed := sha512.Sum384(un(v.Coin.Prepared))
	if err := rsa.VerifyPSS(pub, crypto.SHA384, hashed[:], un(v.Coin.Signature), &rsa.PSSOptions{SaltLength: 48, Hash: crypto.SHA384}); err != nil {
		t.Errorf("coin's signature: %v", err)
	}
	var spend struct{ Bearer []string }
	if err := json.Unmarshal(v.Spend.Wire, &spend); err != nil {
		t.Fatal(err)
	}
	if !ed25519.Verify(un(v.Coin.Owner), frame, un64(spend.Bearer[0])) {
		t.Error("owner's signature")
	}
	if _, _, err := coin.DecodeSpend(v.Spend.Wire); err != nil {
		t.Errorf("the spend does not read: %v", err)
	}
}

// wire is a coin's text form: a map of seven entries under small integers.
func wire(v *vectors, kid []byte) string {
	sig := un(v.Coin.Signature)
	body := bytes.Join([][]byte{
		{0xa7, 0, 1, 1}, text(3, []byte(bankID)), {2}, text(2, kid), {3}, text(3, []byte("bearer")), {4}, text(2, un(v.Coin.Owner)),
		{5}, text(2, un(v.Coin.Randomizer)), {6, 0x59, byte(len(sig) >> 8), byte(len(sig))}, sig,
	}, nil)
	return "specie1" + base64.RawURLEncoding.EncodeToString(body)
}
