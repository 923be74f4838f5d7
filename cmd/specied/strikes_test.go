package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/speciecash/specie/client/issuerclient"
)

func TestTheOperatorSeesWhoGuessed(t *testing.T) {
	h := newHouse(t, 1, 2)
	h.startIssuer("inprocess.yaml")
	var all issuerclient.Strikes
	unmarshal(t, h.run("strikes", "--socket", "issuer.sock", "--json"), &all)
	if len(all.Strikes) != 0 {
		t.Errorf("before anybody guessed: %+v", all)
	}
	d := &h.keyset.Denominations[0]
	alice, shop := h.newPayer("alice", "1.00"), h.newPayee("shop")
	c := alice.draw(d)
	payment := shop.payment(t, &c, d.Value)
	status, answer, err := postAs(t.Context(), "http://"+h.issuer+"/v1/holds", shop.token, holdOf(t, payment))
	check(t, err)
	if status != http.StatusOK {
		t.Fatalf("hold: %d %s", status, answer)
	}
	var hold issuerclient.Held
	unmarshal(t, answer, &hold)
	for i, want := range []string{"owner-signature", "owner-signature", "coin-held"} {
		guess := editSpend(t, payment, func(spend map[string]any) {
			signature := []byte(spend["bearer"].([]any)[0].(string))
			if signature[i] == 'A' {
				signature[i] = 'B'
			} else {
				signature[i] = 'A'
			}
			spend["bearer"] = []any{string(signature)}
		})
		if _, code, err := shop.deposit(t.Context(), h.issuer, guess); err != nil || code != want {
			t.Fatalf("guess %d: %s %v, want %s", i+1, code, err, want)
		}
	}

	lines := strings.Split(h.run("strikes", "--socket", "issuer.sock"), "\n")
	if len(lines) != 5 || !strings.HasPrefix(lines[0], "WHEN") || !strings.Contains(lines[1], "suspension") {
		t.Fatalf("the list is\n%s", strings.Join(lines, "\n"))
	}
	for _, line := range lines[1:] {
		if !strings.Contains(line, "merchant/") || !strings.Contains(line, hold.Op[:12]) {
			t.Errorf("whom and which hold: %s", line)
		}
	}
	unmarshal(t, h.run("strikes", "--socket", "issuer.sock", "--json"), &all)
	evidence := 0
	for _, x := range all.Strikes {
		if x.Kind == "strike" && x.Deposit != nil && x.Hold != nil && *x.Hold == hold.Op {
			evidence++
		}
	}
	if evidence != 3 {
		t.Errorf("%d of 3 strikes have their evidence: %+v", evidence, all.Strikes)
	}
	// He is suspended, and what he now has right is refused too.
	if status, code, err := shop.deposit(t.Context(), h.issuer, payment); err != nil || status == http.StatusOK {
		t.Errorf("the struck merchant's deposit: %d %s %v", status, code, err)
	}
}
