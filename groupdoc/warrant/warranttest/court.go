// Package warranttest makes warrants and keeps a register for a test's group
// (package groupdoctest). Every signature is real.
//
// It is for tests and must not be imported by anything else.
package warranttest

import (
	"testing"
	"time"

	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/trust"
)

// Court is a group whose supervisors sign warrants and whose manager keeps the
// register.
type Court struct {
	*groupdoctest.Group
	Register warrant.Register
}

// New opens an empty register.
func New(g *groupdoctest.Group) *Court {
	return &Court{Group: g, Register: warrant.Register{Group: g.Contents.ID}}
}

// Draft is a warrant that nobody has signed, in force for thirty days.
func (c *Court) Draft(scope warrant.Scope, subject warrant.Subject, at time.Time) warrant.Warrant {
	at = at.UTC().Truncate(time.Second)
	return warrant.Warrant{
		Group: c.Contents.ID, Scope: scope, Subject: subject, Reference: "2 BvR 173/26", Reason: "order of the district court",
		IssuedAt: at, Until: at.AddDate(0, 0, 30), Salt: [32]byte{byte(len(c.Register.Entries) + 1), 7},
	}
}

// Sign lets officers (index 1 …) sign the warrant; the first two without any.
func (c *Court) Sign(t testing.TB, w warrant.Warrant, officers ...int) [][]byte {
	t.Helper()
	payload, err := w.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return c.SignPayload(t, payload, officers...)
}

// SignPayload lets officers sign any bytes as a warrant.
func (c *Court) SignPayload(t testing.TB, payload []byte, officers ...int) [][]byte {
	t.Helper()
	if len(officers) == 0 {
		officers = []int{1, 2}
	}
	var out [][]byte
	for _, i := range officers {
		o := c.Officers[i-1]
		jws, err := trust.Sign(trust.TypWarrant, payload, o.Key, o.Chain)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, jws)
	}
	return out
}

// Enter enters a signed warrant at that time and puts the new head into
// Contents, as of that time; Group.Sign publishes it.
func (c *Court) Enter(t testing.TB, jws [][]byte, at time.Time) warrant.Entry {
	t.Helper()
	s, err := groupdoc.ParseSupervision(c.Root, c.SupervisionJWS, at)
	if err != nil {
		t.Fatal(err)
	}
	w, err := warrant.Parse(c.Root, s, jws, at)
	if err != nil {
		t.Fatal(err)
	}
	e, err := warrant.Next(c.last(), w, at)
	if err != nil {
		t.Fatal(err)
	}
	c.Publish(e)
	return e
}

// Publish appends any entry and puts its head into Contents.
func (c *Court) Publish(e warrant.Entry) {
	c.Register.Entries = append(c.Register.Entries, e)
	c.Contents.Warrants = e.Head()
	c.Contents.Seq++
	if c.Contents.IssuedAt.Before(e.At) {
		c.Contents.IssuedAt = e.At
	}
}

func (c *Court) last() warrant.Entry {
	if n := len(c.Register.Entries); n > 0 {
		return c.Register.Entries[n-1]
	}
	return warrant.Entry{}
}

// Issue drafts, signs (officers 1 and 2) and enters a warrant, and proves it
// under a document signed now.
func (c *Court) Issue(t testing.TB, scope warrant.Scope, subject warrant.Subject, at time.Time) *warrant.Proof {
	t.Helper()
	jws := c.Sign(t, c.Draft(scope, subject, at))
	c.Enter(t, jws, at)
	return c.Prove(t, jws)
}

// Prove proves an entered warrant under the document as it is now.
func (c *Court) Prove(t testing.TB, jws [][]byte) *warrant.Proof {
	t.Helper()
	p, _, err := warrant.Prove(c.Root, c.Document(t), jws, &c.Register)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
