package desk

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/merchant"
	"github.com/speciecash/specie/qr"
)

// maxValid is the longest that an offer may wait.
const maxValid = 30 * 24 * time.Hour

// Sale is a sale with how to pay it.
type Sale struct {
	merchant.Sale
	// Parts is how many pictures it takes to show the link.
	Parts int `json:"qr_parts"`

	pictures []string
}

// Day is the sales of a day and their sums.
type Day struct {
	Day    string          `json:"day"`
	Sales  []Sale          `json:"sales"`
	Totals merchant.Totals `json:"totals"`
}

func (d *Desk) till(r *http.Request) (answer, error) {
	info, err := d.Till.Info(r.Context())
	if err != nil {
		return answer{}, err
	}
	return ok(info)
}

// offered adds the payment link to a sale that can be paid.
func (d *Desk) offered(s *merchant.Sale) (*Sale, error) {
	out := &Sale{Sale: *s}
	switch s.State {
	case merchant.StepWaiting, merchant.StateChecked, merchant.StateHeld:
		link, err := s.LinkTo(d.To)
		if err != nil {
			return nil, err
		}
		picture, err := s.QR(d.To)
		if err != nil {
			return nil, err
		}
		out.Link, out.pictures = link, qr.Split(picture, qr.PartSize)
		out.Parts = len(out.pictures)
	}
	return out, nil
}

// find is the sale that a request names.
func (d *Desk) find(r *http.Request) (*merchant.Sale, error) {
	id, err := base64.RawURLEncoding.Strict().DecodeString(r.PathValue("id"))
	if err != nil || len(id) != 32 {
		return nil, merchant.ErrNoSale
	}
	return d.Till.Sale(r.Context(), [32]byte(id))
}

func (d *Desk) show(s *merchant.Sale) (answer, error) {
	out, err := d.offered(s)
	if err != nil {
		return answer{}, err
	}
	return ok(out)
}

func (d *Desk) newSale(r *http.Request) (answer, error) {
	var in struct {
		Amount  coin.Amount `json:"amount"`
		Order   string      `json:"order"`
		Purpose string      `json:"purpose"`
		Valid   int64       `json:"valid_seconds"`
		Kinds   []coin.Kind `json:"kinds"`
	}
	if err := body(r, &in); err != nil {
		return answer{}, err
	}
	if in.Valid < 0 || in.Valid > int64(maxValid/time.Second) {
		return answer{}, fail(http.StatusUnprocessableEntity, "offer", "an offer waits for 30 days at most")
	}
	for _, k := range in.Kinds {
		if k != coin.Bearer && k != coin.Bound {
			return answer{}, fail(http.StatusUnprocessableEntity, "offer", "a kind of coin is bearer or bound")
		}
	}
	o, err := d.Till.NewOffer(r.Context(), merchant.OfferRequest{
		Amount: in.Amount, Order: in.Order, Purpose: in.Purpose, Lifetime: time.Duration(in.Valid) * time.Second, Kinds: in.Kinds,
	})
	if err != nil {
		return answer{}, err
	}
	s, err := d.Till.Sale(r.Context(), o.Digest)
	if err != nil {
		return answer{}, err
	}
	a, err := d.show(s)
	a.status = http.StatusCreated
	return a, err
}

func (d *Desk) sale(r *http.Request) (answer, error) {
	s, err := d.find(r)
	if err != nil {
		return answer{}, err
	}
	return d.show(s)
}

// sales lists a day.
func (d *Desk) sales(r *http.Request) (answer, error) {
	day, list, err := d.day(r.Context(), r.URL.Query().Get("day"))
	if err != nil {
		return answer{}, err
	}
	out := Day{Day: day, Sales: make([]Sale, 0, len(list))}
	if out.Totals, err = merchant.Sum(list); err != nil {
		return answer{}, err
	}
	for i := range list {
		s, err := d.offered(&list[i])
		if err != nil {
			return answer{}, err
		}
		out.Sales = append(out.Sales, *s)
	}
	return ok(out)
}

// day is the sales of a day where the till stands, today if it is not named.
func (d *Desk) day(ctx context.Context, day string) (string, []merchant.Sale, error) {
	from, until, err := merchant.Day(day, d.Now().In(d.Zone))
	if err != nil {
		return "", nil, fail(http.StatusBadRequest, "malformed", err.Error())
	}
	list, err := d.Till.Sales(ctx, from, until)
	return from.Format(time.DateOnly), list, err
}

func (d *Desk) cancel(r *http.Request) (answer, error) {
	s, err := d.find(r)
	if err != nil {
		return answer{}, err
	}
	if err := d.Till.CancelOffer(r.Context(), [32]byte(s.ID)); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, nil
}

// payment is the payment of the sale that a request names.
func (d *Desk) payment(r *http.Request) (op [32]byte, err error) {
	s, err := d.find(r)
	if err != nil {
		return op, err
	}
	if s.Paid == nil {
		return op, fmt.Errorf("%w: it is not paid", merchant.ErrNoPayment)
	}
	return [32]byte(s.Op), nil
}

func (d *Desk) refund(r *http.Request) (answer, error) {
	var in struct {
		ID     string      `json:"id"`
		Amount coin.Amount `json:"amount"`
	}
	if err := body(r, &in); err != nil {
		return answer{}, err
	}
	// Without an id of the caller's, a request that is repeated would give twice.
	id, err := base64.RawURLEncoding.Strict().DecodeString(in.ID)
	if err != nil || len(id) != merchant.RefundIDSize {
		return answer{}, fail(http.StatusBadRequest, "malformed", "a refund needs an id of yours: 16 random bytes in base64url")
	}
	if in.Amount < 0 {
		return answer{}, fmt.Errorf("%w: of a refund", coin.ErrAmount)
	}
	op, err := d.payment(r)
	if err != nil {
		return answer{}, err
	}
	given, err := d.Till.OfferRefund(r.Context(), op, in.Amount, id)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, value: given}, nil
}

func (d *Desk) cancelRefunds(r *http.Request) (answer, error) {
	op, err := d.payment(r)
	if err != nil {
		return answer{}, err
	}
	list, err := d.Till.CancelRefunds(r.Context(), op)
	if err != nil {
		return answer{}, err
	}
	if list == nil {
		list = []merchant.Refund{}
	}
	return ok(map[string]any{"cancelled": list})
}

// receipt is the papers of a payment, for whoever doubts it.
func (d *Desk) receipt(r *http.Request) (answer, error) {
	op, err := d.payment(r)
	if err != nil {
		return answer{}, err
	}
	f, err := d.Till.Evidence(r.Context(), op, true)
	if err != nil {
		return answer{}, err
	}
	raw, err := f.Encode()
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, raw: raw, kind: "application/json", name: fmt.Sprintf("receipt-%x.json", op[:6])}, nil
}

// qr draws the payment link, or a part of one that is too long for one picture.
func (d *Desk) qr(r *http.Request) (answer, error) {
	s, err := d.find(r)
	if err != nil {
		return answer{}, err
	}
	shown, err := d.offered(s)
	if err != nil {
		return answer{}, err
	}
	if shown.Link == "" {
		return answer{}, fail(http.StatusConflict, "not-open", "this offer can't be paid any more")
	}
	part := 1
	if text := r.URL.Query().Get("part"); text != "" {
		if part, err = strconv.Atoi(text); err != nil {
			part = 0
		}
	}
	if part < 1 || part > shown.Parts {
		return answer{}, fail(http.StatusNotFound, "not-found", fmt.Sprintf("there are %d parts", shown.Parts))
	}
	svg, err := qr.SVG(shown.pictures[part-1])
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, raw: svg, kind: "image/svg+xml"}, nil
}

// csv is a day for a spreadsheet.
func (d *Desk) csv(r *http.Request) (answer, error) {
	day, list, err := d.day(r.Context(), r.URL.Query().Get("day"))
	if err != nil {
		return answer{}, err
	}
	var b bytes.Buffer
	if err := WriteCSV(&b, list, d.Zone); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, raw: b.Bytes(), kind: "text/csv; charset=utf-8", name: "sales-" + day + ".csv"}, nil
}

// WriteCSV writes sales as RFC 4180 with a line of headings. A text that a
// spreadsheet would take for a formula gets an apostrophe before it.
func WriteCSV(b *bytes.Buffer, sales []merchant.Sale, zone *time.Location) error {
	w := csv.NewWriter(b)
	w.UseCRLF = true
	_ = w.Write([]string{"time", "state", "order", "purpose", "amount", "refunded", "currency", "payment"})
	for i := range sales {
		s := &sales[i]
		_ = w.Write([]string{
			s.At().In(zone).Format(time.RFC3339), s.State, noFormula(s.Order), noFormula(s.Purpose), s.Amount.Format(s.Exponent),
			s.Refunded.Format(s.Exponent), s.Currency, base64.RawURLEncoding.EncodeToString(s.Op),
		})
	}
	w.Flush()
	return w.Error()
}

// formula is the beginning of what a spreadsheet calculates, also one that cuts lines
// at semicolons.
var formula = regexp.MustCompile(`(^|;)(\s*[=+\-@＝＋－＠])`)

func noFormula(s string) string { return formula.ReplaceAllString(s, "${1}'${2}") }
