package approval_test

import (
	"crypto/elliptic"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/speciecash/specie/ceremony/approval"
)

func TestRostersThatAreRefused(t *testing.T) {
	a, b := line(ed(t)), line(ed(t))
	good := fmt.Sprintf("threshold: 2\nofficers:\n  - name: ADAMS\n    key: %s adams@desk\n  - {name: BAKER, key: %s}\n", a, b)
	edit := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %q in it", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	many := "threshold: 1\nofficers:\n"
	for i := range approval.MaxOfficers + 1 {
		many += fmt.Sprintf("  - {name: OFFICER%d, key: %s}\n", i, line(ed(t)))
	}
	tests := []struct {
		name, text string
		want       error
	}{
		{"as it should be", good, nil},
		{"with a comment", "# officers of 2026\n" + good, nil},
		{"empty", "", approval.ErrRoster},
		{"not YAML", "threshold: [", approval.ErrRoster},
		{"an unknown field", good + "quorum: 1\n", approval.ErrRoster},
		{"an unknown field of an officer", edit("name: BAKER", "name: BAKER, weight: 2"), approval.ErrRoster},
		{"a field twice", good + "threshold: 1\n", approval.ErrRoster},
		{"two documents", good + "---\n" + good, approval.ErrRoster},
		{"too large", good + strings.Repeat("#\n", approval.MaxRoster), approval.ErrRoster},
		{"a threshold of nobody", edit("threshold: 2", "threshold: 0"), approval.ErrRoster},
		{"a negative threshold", edit("threshold: 2", "threshold: -1"), approval.ErrRoster},
		{"a threshold beyond all", edit("threshold: 2", "threshold: 3"), approval.ErrRoster},
		{"no officers", "threshold: 1\n", approval.ErrRoster},
		{"too many officers", many, approval.ErrRoster},
		{"an officer twice", edit("BAKER", "ADAMS"), approval.ErrRoster},
		{"one key for two officers", edit(b, a), approval.ErrRoster},
		{"a name in lower case", edit("BAKER", "baker"), approval.ErrRoster},
		{"a short name", edit("BAKER", "BOB"), approval.ErrRoster},
		{"no key", edit(", key: "+b, ""), approval.ErrKey},
		{"not a key", edit(b, "ssh-ed25519 AAAA"), approval.ErrKey},
		{"an RSA key", edit(b, line(rsaKey(t))), approval.ErrKey},
		{"a P-521 key", edit(b, line(ec(t, elliptic.P521()))), approval.ErrKey},
		{"a key with options", edit(b, "no-touch-required "+b), approval.ErrKey},
		{"two keys for one officer", edit(b, `"`+b+`\n`+a+`"`), approval.ErrKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := approval.ParseRoster([]byte(tt.text)); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestARosterIsNamedByWhatItSays(t *testing.T) {
	a, b, c := ed(t), ed(t), ed(t)
	base := roster(t, 2, map[string]ssh.Signer{"ADAMS": a, "BAKER": b}).Digest()
	text := fmt.Sprintf("# a comment\nofficers:\n  - {key: %s someone, name: BAKER}\n  - {name: ADAMS, key: %s}\nthreshold: 2\n", line(b), line(a))
	if must(approval.ParseRoster([]byte(text)))(t).Digest() != base {
		t.Error("order and comments change the digest")
	}
	for name, r := range map[string]*approval.Roster{
		"threshold": roster(t, 1, map[string]ssh.Signer{"ADAMS": a, "BAKER": b}),
		"a key":     roster(t, 2, map[string]ssh.Signer{"ADAMS": a, "BAKER": c}),
		"a name":    roster(t, 2, map[string]ssh.Signer{"ADAMS": a, "BAXTER": b}),
		"one more":  roster(t, 2, map[string]ssh.Signer{"ADAMS": a, "BAKER": b, "CLARK": c}),
		"exchanged": roster(t, 2, map[string]ssh.Signer{"ADAMS": b, "BAKER": a}),
	} {
		if r.Digest() == base {
			t.Errorf("another %s, the same digest", name)
		}
	}
}

func TestQuorum(t *testing.T) {
	a, b, c, d := ed(t), ed(t), skEd25519(t, 1), ed(t)
	r := roster(t, 2, map[string]ssh.Signer{"ADAMS": a, "BAKER": b, "CLARK": c})
	other := digest
	other[31] ^= 1
	sign := func(kind string, digest [32]byte, name string, s ssh.Signer) []byte {
		return must(approval.Sign(approval.Message(kind, digest, name, at), s))(t)
	}
	adams, baker, clark := approve(t, "ADAMS", a), approve(t, "BAKER", b), approve(t, "CLARK", c)
	tests := []struct {
		name  string
		files [][]byte
		want  error
	}{
		{"two of three", [][]byte{adams, clark}, nil},
		{"all three", [][]byte{clark, adams, baker}, nil},
		{"nobody", nil, approval.ErrQuorum},
		{"one", [][]byte{baker}, approval.ErrQuorum},
		{"one officer's file twice", [][]byte{baker, baker}, approval.ErrQuorum},
		{"one officer who signed twice", [][]byte{clark, approve(t, "CLARK", c)}, approval.ErrQuorum},
		{"an officer who is not on the roster", [][]byte{adams, approve(t, "DAVIS", d)}, approval.ErrUnknownOfficer},
		{"a stranger beside enough officers", [][]byte{adams, baker, approve(t, "DAVIS", d)}, approval.ErrUnknownOfficer},
		{"an officer's name under another key", [][]byte{adams, approve(t, "BAKER", d)}, approval.ErrApproval},
		{"an officer who signs for another", [][]byte{adams, approve(t, "BAKER", a)}, approval.ErrApproval},
		{"an approval of another plan", [][]byte{adams, sign(kind, other, "BAKER", b)}, approval.ErrDigest},
		{"an approval of another ceremony", [][]byte{adams, sign("destroy", digest, "BAKER", b)}, approval.ErrDigest},
		{"a good quorum and a broken file", [][]byte{adams, baker, []byte("hello")}, approval.ErrApproval},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := r.Verify(tt.files, kind, digest)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if err == nil && len(got) != len(tt.files) {
				t.Errorf("approved by %v", got)
			}
		})
	}
	if _, err := r.Verify([][]byte{baker}, kind, digest); err == nil || !strings.Contains(err.Error(), "ADAMS, CLARK") {
		t.Errorf("it is not said who is missing: %v", err)
	}
}

func TestOfficersChange(t *testing.T) {
	a, b, c, again := ed(t), ed(t), ed(t), ed(t)
	old := roster(t, 2, map[string]ssh.Signer{"ADAMS": a, "BAKER": b})
	next := roster(t, 2, map[string]ssh.Signer{"BAKER": b, "CLARK": c})
	rekeyed := roster(t, 1, map[string]ssh.Signer{"ADAMS": again})
	adams, baker, clark := approve(t, "ADAMS", a), approve(t, "BAKER", b), approve(t, "CLARK", c)
	tests := []struct {
		name    string
		rosters []*approval.Roster
		files   [][]byte
		want    error
	}{
		{"both rosters reach their quorum", []*approval.Roster{next, old}, [][]byte{adams, baker, clark}, nil},
		{"the old one does not", []*approval.Roster{next, old}, [][]byte{baker, clark}, approval.ErrQuorum},
		{"the new one does not", []*approval.Roster{next, old}, [][]byte{adams, baker}, approval.ErrQuorum},
		{"an officer's new key, with the old one's consent", []*approval.Roster{rekeyed, old}, [][]byte{approve(t, "ADAMS", again), adams, baker}, nil},
		{"an officer's new key does not speak for the old", []*approval.Roster{rekeyed, old}, [][]byte{approve(t, "ADAMS", again), baker}, approval.ErrQuorum},
		{"a key of neither", []*approval.Roster{rekeyed, old}, [][]byte{approve(t, "ADAMS", c), baker}, approval.ErrApproval},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := approval.Verify(tt.rosters, tt.files, kind, digest); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func FuzzParseRoster(f *testing.F) {
	f.Add([]byte(rosterText(1, map[string]ssh.Signer{"ADAMS": ed(f), "BAKER": skECDSA(f, 1)})))
	f.Add([]byte("threshold: 1\nofficers: [{name: ADAMS, key: ssh-ed25519 AAAA}]\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := approval.ParseRoster(data)
		if err != nil {
			if !errors.Is(err, approval.ErrRoster) {
				t.Errorf("refused with %v", err)
			}
			return
		}
		if r.Threshold < 1 || r.Threshold > len(r.Officers) || len(r.Officers) > approval.MaxOfficers {
			t.Errorf("%d of %d", r.Threshold, len(r.Officers))
		}
	})
}
