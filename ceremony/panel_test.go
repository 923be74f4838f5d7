package ceremony_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/approval"
	"github.com/speciecash/specie/ceremony/officer"
	"github.com/speciecash/specie/trust"
)

// panel is supervisors, each with a machine of his own: a directory that the
// others don't see.
type panel struct {
	*archive
	ids      []string
	machines map[string]string
	officers map[string]*officer.Officer
}

func newPanel(t *testing.T) *panel {
	t.Helper()
	p := &panel{archive: newArchive(t), ids: []string{"ALICE", "BORIS", "CAROL"}, machines: map[string]string{}, officers: map[string]*officer.Officer{}}
	for _, id := range p.ids {
		p.join(t, id)
	}
	return p
}

// join gives a supervisor his machine, keys and certificate.
func (p *panel) join(t *testing.T, id string) {
	t.Helper()
	dir := t.TempDir()
	p.machines[id] = dir
	if err := os.Mkdir(filepath.Join(dir, "exchange"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"root.pem", "officers.yaml"} {
		p.put(t, id, name, p.file(t, name))
	}
	p.officers[id] = must(officer.Create(filepath.Join(dir, "keys"), id, nil))(t)
	block, _ := pem.Decode(p.on(t, id, "keys/request.csr"))
	request := must(x509.ParseCertificateRequest(block.Bytes))(t)
	cert := p.issue(t, p.root, trust.Name{Role: trust.RoleSupervisor, ID: id}, request.PublicKey, "2026-01-01T00:00:00Z", "2030-01-01T00:00:00Z", false)
	must(p.officers[id].Accept(p.pinned(t), pemOf("CERTIFICATE", cert.Raw), p.at))(t)
}

func (p *panel) on(t testing.TB, id, name string) []byte {
	t.Helper()
	return must(os.ReadFile(filepath.Join(p.machines[id], name)))(t)
}

func (p *panel) put(t testing.TB, id, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.machines[id], name), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// carry brings what one supervisor put out to another.
func (p *panel) carry(t testing.TB, from, to string) {
	t.Helper()
	dir := filepath.Join(p.machines[from], "exchange")
	for _, e := range must(os.ReadDir(dir))(t) {
		path := filepath.Join(p.machines[to], "exchange", e.Name())
		if _, err := os.Stat(path); err != nil {
			p.put(t, to, filepath.Join("exchange", e.Name()), must(os.ReadFile(filepath.Join(dir, e.Name())))(t))
		}
	}
}

func (p *panel) planFor(text, id string) (*ceremony.Plan, error) {
	return ceremony.Parse([]byte(plan(text, "")), p.machines[id])
}

// step lets a supervisor do what he can. approved are the officers.
func (p *panel) step(r *ceremony.Runner, id, text string, approved ...string) (*ceremony.Turn, error) {
	parsed, err := p.planFor(text, id)
	if err != nil {
		return nil, err
	}
	digest, err := parsed.Digest()
	if err != nil {
		return nil, err
	}
	r.Now, r.Approvals = func() time.Time { return p.at }, nil
	for _, name := range approved {
		a, err := approval.Sign(approval.Message("supervisors", digest, name, p.at), p.archive.officers[name])
		if err != nil {
			return nil, err
		}
		r.Approvals = append(r.Approvals, a)
	}
	return r.Step(context.Background(), parsed, p.officers[id])
}

func (p *panel) mustStep(t *testing.T, id string) *ceremony.Turn {
	t.Helper()
	return must(p.step(&ceremony.Runner{}, id, supervisorsText, "ADAMS", "CLARK"))(t)
}

// round lets everybody do what he can, and carries the files on.
func (p *panel) round(t *testing.T) (turns []*ceremony.Turn) {
	t.Helper()
	for i, id := range p.ids {
		turns = append(turns, p.mustStep(t, id))
		p.carry(t, id, p.ids[(i+1)%len(p.ids)])
	}
	return turns
}

// finish goes on until all are done.
func (p *panel) finish(t *testing.T) (turns []*ceremony.Turn) {
	t.Helper()
	for range 4 {
		turns = p.round(t)
		if !slices.ContainsFunc(turns, func(turn *ceremony.Turn) bool { return !turn.Done }) {
			return turns
		}
	}
	t.Fatalf("not done: %+v", turns)
	return nil
}

// auditor is somebody with the exchange directory and what is published.
func (p *panel) auditor(t *testing.T) *ceremony.Verifier {
	t.Helper()
	// Once around for the files of the last step.
	for range 2 {
		for i, id := range p.ids {
			p.carry(t, id, p.ids[(i+1)%len(p.ids)])
		}
	}
	v := p.verifier(t)
	v.Dir = t.TempDir()
	if err := os.CopyFS(v.Dir, os.DirFS(filepath.Join(p.machines[p.ids[0]], "exchange"))); err != nil {
		t.Fatal(err)
	}
	return v
}
