package registration_test

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/ledger"
	"github.com/speciecash/specie/registration"
	"github.com/speciecash/specie/registration/registrationtest"
)

func newCode(t testing.TB) enrol.Code {
	t.Helper()
	c, err := enrol.NewCode()
	must(t, err)
	return c
}

func TestAMembershipIsContinuedWithACode(t *testing.T) {
	for _, tc := range []struct {
		name string
		next int
	}{
		{"on the same TPM, which was cleared", registrationtest.TPMA},
		{"on another TPM", registrationtest.TPMB},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := registrationtest.NewWorld(t, bench)
			ctx := t.Context()
			c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
			oldID, _ := c.Enrol(t, w, "Ada Lovelace")
			old, err := w.Member(ctx, oldID)
			must(t, err)
			w.Clock.Forward(registrationtest.EpochLength)
			_, err = w.Renew(ctx, oldID)
			must(t, err)

			void, err := w.Readmit(ctx, oldID)
			must(t, err)
			a, err := w.Readmit(ctx, oldID)
			must(t, err)
			if got := a.Expires.Sub(w.Clock.Now()); got > registration.ReadmissionTerm || got < registration.ReadmissionTerm-time.Minute {
				t.Fatalf("good for %s", got)
			}
			_, err = w.Renew(ctx, oldID)
			wantErr(t, err, registration.ErrRevoked)

			n := registrationtest.NewComputer(t, bench, tc.next, "rsa2048")
			s := n.Begin(t, w)
			join := func(form enrol.Form) (*registration.Challenge, error) {
				return w.Join(ctx, s.ID, n.JoinAs(t, w, s, n.EKID(t, w), form))
			}
			_, err = join(enrol.Form{Name: "Ada Lovelace", Code: void.Code})
			wantErr(t, err, registration.ErrCode)
			ch, err := join(enrol.Form{Name: "Ada Lovelace", Code: a.Code})
			must(t, err)
			mac := registrationtest.MAC(t, n.Answer(t, ch), s.ID)
			all := make([]*registration.Activation, 8) // as a wallet that lost patience sends them
			errs := make([]error, len(all))
			var wg sync.WaitGroup
			for i := range all {
				wg.Go(func() { all[i], errs[i] = w.Activate(ctx, s.ID, mac) })
			}
			wg.Wait()
			got := all[0]
			for i := range all {
				must(t, errs[i])
				if !reflect.DeepEqual(got.Credential, all[i].Credential) {
					t.Fatal("a repeated activation got another credential")
				}
				if len(all[i].Successions) != 1 {
					t.Fatalf("%d successions", len(all[i].Successions))
				}
			}

			word, err := enrol.ParseSuccession(w.Group.Root, w.Name(), got.Successions[0], w.Clock.Now())
			must(t, err)
			fresh, err := w.Member(ctx, s.ID)
			must(t, err)
			epoch, err := w.Config.Schedule.At(w.Clock.Now())
			must(t, err)
			if word.Old != old.Tag || word.New != fresh.Tag || !word.GoodUntil.Equal(epoch.Ends) || word.At.After(w.Clock.Now()) {
				t.Fatalf("the manager says %+v", word)
			}
			if old, err = w.Member(ctx, oldID); err != nil || old.State != ledger.MemberSucceeded || old.SucceededBy != s.ID || fresh.Succeeds != oldID {
				t.Fatalf("got %+v, %v", old, err)
			}
			_, err = w.Readmit(ctx, oldID)
			wantErr(t, err, registration.ErrState)
			wantErr(t, w.Expel(ctx, oldID), registration.ErrState)
			for _, computer := range []*registrationtest.Computer{c, n} {
				_, err = w.Begin(ctx, computer.BeginRequest())
				wantErr(t, err, registration.ErrEKRegistered)
			}
		})
	}
}

func TestCodesThatAreRefused(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	ctx := t.Context()
	c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	other := registrationtest.NewComputer(t, bench, registrationtest.TPMB, "rsa2048")
	id, _ := c.Enrol(t, w, "Ada Lovelace")
	_, err := w.Begin(ctx, c.BeginRequest())
	wantErr(t, err, registration.ErrEKRegistered)
	a, err := w.Readmit(ctx, id)
	must(t, err)
	c.NewKey(t)
	s := c.Begin(t, w)
	try := func(form enrol.Form) error {
		_, err := w.Join(ctx, s.ID, c.JoinAs(t, w, s, c.EKID(t, w), form))
		return err
	}
	wantErr(t, try(enrol.Form{Name: "Ada Lovelace"}), registration.ErrEKRegistered)
	wantErr(t, try(enrol.Form{Name: "Ada Lovelace", Code: newCode(t)}), registration.ErrCode)
	wantErr(t, try(enrol.Form{Name: "Charles Babbage", Code: a.Code}), registration.ErrIdentity)

	otherID, _ := other.Enrol(t, w, "Charles Babbage")
	b, err := w.Readmit(ctx, otherID)
	must(t, err)
	if err := try(enrol.Form{Name: "Charles Babbage", Code: b.Code}); err == nil {
		t.Fatal("one person's TPM continues another's membership")
	} else {
		wantErr(t, err, registration.ErrEKRegistered)
	}

	w.Clock.Forward(registration.ReadmissionTerm)
	_, err = w.Begin(ctx, c.BeginRequest())
	wantErr(t, err, registration.ErrEKRegistered)
	a, err = w.Readmit(ctx, id)
	must(t, err)
	s = c.Begin(t, w)
	wantErr(t, try(enrol.Form{Name: "Charles Babbage", Code: b.Code}), registration.ErrCode) // has run out
	must(t, w.Expel(ctx, id))
	wantErr(t, try(enrol.Form{Name: "Ada Lovelace", Code: a.Code}), registration.ErrCode)
	_, err = w.Readmit(ctx, id)
	wantErr(t, err, registration.ErrState)
	_, err = w.Begin(ctx, c.BeginRequest())
	wantErr(t, err, registration.ErrEKRegistered)
	_, err = w.Readmit(ctx, enrol.ID{1})
	wantErr(t, err, registration.ErrNotFound)
}

// TestACodeServesOnce: two TPMs join with one code before either is active.
func TestACodeServesOnce(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	ctx := t.Context()
	first := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	id, _ := first.Enrol(t, w, "Ada Lovelace")
	a, err := w.Readmit(ctx, id)
	must(t, err)
	first.NewKey(t)
	computers := []*registrationtest.Computer{first, registrationtest.NewComputer(t, bench, registrationtest.TPMB, "rsa2048")}
	form := enrol.Form{Name: "Ada Lovelace", Code: a.Code}
	var sessions []*registration.Session
	var macs [][]byte
	for _, c := range computers {
		s := c.Begin(t, w)
		ch, err := w.Join(ctx, s.ID, c.JoinAs(t, w, s, c.EKID(t, w), form))
		must(t, err)
		sessions, macs = append(sessions, s), append(macs, registrationtest.MAC(t, c.Answer(t, ch), s.ID))
	}
	errs := make([]error, 2)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = w.Activate(ctx, sessions[i].ID, macs[i]) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			wantErr(t, err, registration.ErrCodeUsed)
		}
	}
	if won != 1 {
		t.Fatalf("%d successors", won)
	}
	s, err := w.Begin(ctx, computers[0].BeginRequest())
	if err == nil { // the other one won
		_, err = w.Join(ctx, s.ID, computers[0].JoinAs(t, w, s, computers[0].EKID(t, w), form))
	}
	if err == nil {
		t.Fatal("the code served twice")
	}
}

func TestARegistrationThatIsCompleteTakesNothingMore(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	s := c.Begin(t, w)
	req := c.JoinFor(t, w, s, c.EKID(t, w), "Ada Lovelace")
	ch, err := w.Join(t.Context(), s.ID, req)
	must(t, err)
	_, err = w.Activate(t.Context(), s.ID, registrationtest.MAC(t, c.Answer(t, ch), s.ID))
	must(t, err)
	_, err = w.Join(t.Context(), s.ID, req)
	wantErr(t, err, registration.ErrAnswered)
}

// TestAWordThatCantBeSignedEndsNoMembership: the token is gone at the moment of
// the activation.
func TestAWordThatCantBeSignedEndsNoMembership(t *testing.T) {
	k := &token{}
	w := registrationtest.NewWorld(t, bench, func(c *registration.Config) { k.Signer, c.Signer = c.Signer, k })
	ctx := t.Context()
	c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
	id, _ := c.Enrol(t, w, "Ada Lovelace")
	a, err := w.Readmit(ctx, id)
	must(t, err)
	c.NewKey(t)
	s := c.Begin(t, w)
	ch, err := w.Join(ctx, s.ID, c.JoinAs(t, w, s, c.EKID(t, w), enrol.Form{Name: "Ada Lovelace", Code: a.Code}))
	must(t, err)
	mac := registrationtest.MAC(t, c.Answer(t, ch), s.ID)
	k.gone.Store(true)
	_, err = w.Activate(ctx, s.ID, mac)
	wantErr(t, err, registration.ErrUnavailable)
	m, err := w.Member(ctx, id)
	must(t, err)
	if m.State != ledger.MemberRevoked {
		t.Fatalf("the old member is %s", m.State)
	}
	k.gone.Store(false)
	_, err = w.Activate(ctx, s.ID, mac)
	must(t, err)
}

func TestMembersAreListedByNameOnlyIfAskedFor(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	ctx := t.Context()
	ids := map[enrol.ID]bool{}
	for _, tpm := range []int{registrationtest.TPMA, registrationtest.TPMB} {
		id, _ := registrationtest.NewComputer(t, bench, tpm, "rsa2048").Enrol(t, w, "Ada Lovelace")
		ids[id] = true
	}
	var after enrol.ID
	for range 2 {
		page, err := w.Members(ctx, after, 1, false)
		must(t, err)
		if len(page) != 1 || page[0].Name != "" || !ids[page[0].ID] || bytes.Compare(page[0].ID[:], after[:]) <= 0 {
			t.Fatalf("got %+v", page)
		}
		after = page[0].ID
		delete(ids, after)
	}
	if page, err := w.Members(ctx, after, 1, false); err != nil || len(page) != 0 {
		t.Fatalf("got %v, %v", page, err)
	}
	page, err := w.Members(ctx, enrol.ID{}, 10, true)
	must(t, err)
	if len(page) != 2 || page[1].Name != "Ada Lovelace" {
		t.Fatalf("got %+v", page)
	}
	v := page[0].TPM
	if v == nil || v.Roots != w.Config.EKRoots.Digest() || v.Root == [32]byte{} || !v.Software || v.Model != "swtpm" {
		t.Fatalf("the TPM's ground is recorded as %+v", v)
	}
	counts, err := w.Counts(context.Background())
	must(t, err)
	if counts.Members[ledger.MemberActive] != 2 || counts.Members[ledger.MemberExpelled] != 0 || counts.Sessions != 0 {
		t.Fatalf("got %+v", counts)
	}
}

// TestEachMemberGetsTheWholeLine: the answer that had the first word may be lost,
// and a word counts no longer than the certificate under which it was signed.
func TestEachMemberGetsTheWholeLine(t *testing.T) {
	w := registrationtest.NewWorld(t, bench)
	ctx := t.Context()
	var id enrol.ID
	var tags [][33]byte
	for n := range enrol.MaxLine + 2 {
		t.Run(fmt.Sprint("member ", n+1), func(t *testing.T) { // a TPM has room for few keys
			form := enrol.Form{Name: "Ada Lovelace"}
			if n > 0 {
				a, err := w.Readmit(ctx, id)
				must(t, err)
				form.Code = a.Code
			}
			c := registrationtest.NewComputer(t, bench, registrationtest.TPMA, "rsa2048")
			var words [][]byte
			id, _, words = c.EnrolAs(t, w, form)
			tags = append(tags, tagOf(t, w, id))
			wantLine(t, w, words, tags[max(0, n-enrol.MaxLine):])
			if n == 0 {
				return
			}
			w.Clock.Forward(registrationtest.EpochLength)
			r, err := w.Renew(ctx, id)
			must(t, err)
			secret := c.Answer(t, &r.Challenge)
			fresh, err := secret.OpenLine(id, r.Successions)
			must(t, err)
			wantLine(t, w, fresh, tags[max(0, n-enrol.MaxLine):])
			for i := range fresh {
				if bytes.Equal(fresh[i], words[i]) {
					t.Fatalf("word %d was not signed anew", i)
				}
			}
		})
	}
}

func tagOf(t *testing.T, w *registrationtest.World, id enrol.ID) [33]byte {
	t.Helper()
	m, err := w.Member(t.Context(), id)
	must(t, err)
	return m.Tag
}

func wantLine(t *testing.T, w *registrationtest.World, words [][]byte, tags [][33]byte) {
	t.Helper()
	line, err := enrol.ParseLine(w.Group.Root, w.Name(), words, tags[len(tags)-1], w.Clock.Now())
	must(t, err)
	if len(line) != len(tags)-1 {
		t.Fatalf("%d words on %d members", len(line), len(tags))
	}
	for i, s := range line {
		if s.Old != tags[i] || s.New != tags[i+1] {
			t.Fatalf("word %d is out of its place", i)
		}
	}
}
