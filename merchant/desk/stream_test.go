package desk_test

import (
	"bytes"
	"encoding/csv"
	"net/http"
	"testing"
	"time"

	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/merchant/desk"
	"github.com/speciecash/specie/wallet/wallettest"
)

func TestAStreamEndsForWhoMayListenNoMore(t *testing.T) {
	town := wallettest.New(t)
	c := open(t, town, town.NewShop(t)).login(t)
	key, err := c.NewDeskKey(t.Context(), "shop")
	must(t, err)
	program := *c
	program.browser = &http.Client{Transport: bearer(key)}
	for name, end := range map[string]struct {
		who *counter
		by  func()
	}{
		"signed out": {c, func() { c.ask(t, "DELETE", "/desk/v1/session", nil) }},
		"revoked":    {&program, func() { must(t, c.RevokeDeskKey(t.Context(), "shop")) }},
	} {
		events := end.who.listen(t, "")
		<-events
		end.by()
		c.Offer(t, merchant.OfferRequest{Amount: 4})
		for e := range events {
			if e.name == "sale" {
				t.Errorf("%s: %v", name, e.data)
				break
			}
		}
	}
}

// bearer shows a desk key.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

func TestNoTextIsAFormulaForASpreadsheet(t *testing.T) {
	for text, want := range map[string]string{
		"table 7; -2 mugs": "table 7;' -2 mugs", "=1": "'=1", " =1": "' =1", "a;=1;@b": "a;'=1;'@b", "＝1": "'＝1",
		"T-17, a+b": "T-17, a+b", "": "",
	} {
		var b bytes.Buffer
		must(t, desk.WriteCSV(&b, []merchant.Sale{{Order: text, Purpose: text}}, time.UTC))
		rows, err := csv.NewReader(&b).ReadAll()
		must(t, err)
		if rows[1][2] != want || rows[1][3] != want {
			t.Errorf("%q is written %q", text, rows[1])
		}
	}
}
