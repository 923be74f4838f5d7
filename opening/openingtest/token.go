package openingtest

import (
	"testing"
	"time"

	"github.com/speciecash/specie/groupdoc/enrol"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/groupdoc/warrant/warranttest"
	"github.com/speciecash/specie/opening"
)

// Token is the file of a member's tracing token, released on a warrant of that
// scope that is issued and entered now.
func Token(t testing.TB, c *warranttest.Court, m *Member, scope warrant.Scope, at time.Time) []byte {
	t.Helper()
	proof := c.Issue(t, scope, warrant.MembershipOf(m.Statement.Member, m.Join).Subject(), at)
	papers, err := opening.ReadGroup(c.Root, c.Group.Sign(t), at)
	if err != nil {
		t.Fatal(err)
	}
	statement, err := enrol.SignStatement(papers.Group.Parameters(), &m.Statement, c.Manager.Key, c.Manager.Chain)
	if err != nil {
		t.Fatal(err)
	}
	var parts []*opening.TracePart
	for _, share := range c.Shares[:2] {
		part, err := opening.TracePartial(papers, proof, statement, share)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part)
	}
	token, err := opening.CombineTrace(papers, proof, statement, parts)
	if err != nil {
		t.Fatal(err)
	}
	out, err := token.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return out
}
