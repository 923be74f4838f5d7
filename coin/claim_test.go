package coin_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/speciecash/specie/coin"
)

func TestClaimsGoOverTheWire(t *testing.T) {
	m := theMint()
	r := m.recoup()
	s := must(coin.NewSpend(r.spend))
	claims := r.ordered(s)
	wire := coin.NewClaimsJSON(claims)
	back, err := coin.ParseClaimsJSON(wire)
	expect(t, err, nil)
	if !slices.Equal(back, claims) {
		t.Error("other claims came back")
	}
	data := must(json.Marshal(wire))
	many := make([]coin.ClaimJSON, coin.MaxCoins)
	for i := range many {
		many[i] = coin.ClaimJSON{Op: wire[0].Op, Index: coin.MaxOutputs - 1, Secret: wire[0].Secret}
	}
	if all := must(json.Marshal(many)); len(all) > coin.MaxClaimsJSON {
		t.Errorf("%d claims take %d bytes", len(many), len(all))
	}
	if strings.Contains(string(data), "redacted") {
		t.Error("the wire form is redacted")
	}
	for name, tt := range map[string]struct {
		change func(c *coin.ClaimJSON)
		want   error
	}{
		"an op too short":         {func(c *coin.ClaimJSON) { c.Op = c.Op[1:] }, coin.ErrMalformed},
		"an op with a line break": {func(c *coin.ClaimJSON) { c.Op = c.Op[:20] + "\n" + c.Op[21:] }, coin.ErrMalformed},
		"a secret too long":       {func(c *coin.ClaimJSON) { c.Secret += "AAAA" }, coin.ErrTooLarge},
		"no secret":               {func(c *coin.ClaimJSON) { c.Secret = "" }, coin.ErrMalformed},
		"an index below zero":     {func(c *coin.ClaimJSON) { c.Index = -1 }, coin.ErrMalformed},
		"an index past any list":  {func(c *coin.ClaimJSON) { c.Index = coin.MaxOutputs }, coin.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			in := slices.Clone(wire)
			tt.change(&in[1])
			_, err := coin.ParseClaimsJSON(in)
			expect(t, err, tt.want)
		})
	}
	_, err = coin.ParseClaimsJSON(append(many, wire[0]))
	expect(t, err, coin.ErrTooLarge)
}

func TestAClaimDoesNotPrintItself(t *testing.T) {
	claim := theMint().planchet(theMint().one, 1).Claim([32]byte{1}, 1)
	secret := fmt.Sprintf("%x", claim.Secret[:4])
	if secret == "[redacted]" {
		t.Fatal("the test looks for nothing")
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "claim", claim, "secret", claim.Secret)
	texts := []string{log.String(), claim.String(), claim.GoString(), claim.Secret.String(), claim.Secret.GoString()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, claim), fmt.Sprintf(verb, &claim), fmt.Sprintf(verb, claim.Secret), fmt.Sprintf(verb, []coin.Claim{claim}))
	}
	for _, text := range texts {
		if !strings.Contains(text, "[redacted]") || strings.Contains(text, secret) {
			t.Errorf("printed as %s", text)
		}
	}
	for _, v := range []any{claim, claim.Secret, []coin.Claim{claim}} {
		if _, err := json.Marshal(v); err == nil {
			t.Error("a secret marshalled")
		}
	}
}

func FuzzParseClaims(f *testing.F) {
	m := theMint()
	r := m.recoup()
	f.Add(must(json.Marshal(coin.NewClaimsJSON(r.ordered(must(coin.NewSpend(r.spend)))))))
	f.Add([]byte(`[{"op":"","index":-1,"secret":""}]`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var in []coin.ClaimJSON
		if json.Unmarshal(data, &in) != nil {
			return
		}
		claims, err := coin.ParseClaimsJSON(in)
		if err != nil {
			return
		}
		if diff := cmp.Diff(in, coin.NewClaimsJSON(claims)); diff != "" && len(in) != 0 {
			t.Fatalf("two forms of one claim: %s", diff)
		}
	})
}
