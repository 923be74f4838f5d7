package specie_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/speciecash/specie/"

// bands are the rooms from the ground up. A room may import rooms of lower
// bands, and rooms inside itself.
var bands = [][]string{
	{"frame", "api", "cli", "fault", "gate", "qr", "sqlitefile", "trust", "words", "group/fp256bn"},
	{"group"},
	{"coin", "groupdoc"},
	{"evidence"},
	{"hsm", "tpm", "attest"},
	{"softhsm"},
	{"ledger", "signer"},
	{"issuer", "registration", "ceremony", "opening"},
	{"client"},
	{"server", "wallet", "merchant", "dashboard"},
	{"devbox"},
	{"cmd/specie", "cmd/specied", "cmd/specie-ceremony", "demo", "bench", "contrib/shop"},
}

// forTests are rooms that only tests live in; they may look at everything.
func forTests(pkg string) bool {
	return strings.HasSuffix(pkg, "test") && !strings.HasSuffix(pkg, "/attest")
}

type pkg struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// room finds the band and the name of the room that a package belongs to.
func room(path string) (band int, name string) {
	path = strings.TrimPrefix(path, module)
	for i, rooms := range bands {
		for _, r := range rooms {
			if (path == r || strings.HasPrefix(path, r+"/")) && len(r) > len(name) {
				band, name = i, r
			}
		}
	}
	return band, name
}

func TestArrowsBetweenRoomsGoDownward(t *testing.T) {
	for _, p := range packages(t) {
		if p.ImportPath+"/" == module || forTests(p.ImportPath) {
			continue
		}
		band, name := room(p.ImportPath)
		if name == "" {
			t.Errorf("%s belongs to no room: give it one in doc.go and here", p.ImportPath)
		}
		for _, i := range p.Imports {
			if !strings.HasPrefix(i, module) {
				continue
			}
			b, n := room(i)
			if n != name && b >= band {
				t.Errorf("%s imports %s: an arrow that does not go down", p.ImportPath, i)
			}
			if forTests(i) {
				t.Errorf("%s imports %s, which is for tests", p.ImportPath, i)
			}
		}
	}
}

// TestForeignPackagesStayInTheirRooms: what is to be exchangeable is imported
// in one place.
func TestForeignPackagesStayInTheirRooms(t *testing.T) {
	only := map[string][]string{
		"github.com/labstack/echo":           {"server"},
		"github.com/miekg/pkcs11":            {"hsm"},
		"github.com/google/go-tpm-tools":     nil,
		"github.com/hyperledger/fabric-amcl": nil,
		"github.com/chromedp":                nil,
		"modernc.org/sqlite":                 {"ledger"},
		"github.com/ncruces/go-sqlite3":      {"sqlitefile"},
		"github.com/jackc/pgx":               {"ledger"},
		"rsc.io/qr":                          {"qr"},
		"github.com/makiuchi-d/gozxing":      {"qr"},
		"github.com/alecthomas/kong":         {"cli", "cmd/specie", "cmd/specied", "cmd/specie-ceremony"},
	}
	for _, p := range packages(t) {
		_, name := room(p.ImportPath)
		for _, i := range p.Imports {
			for prefix, rooms := range only {
				if strings.HasPrefix(i, prefix) && !slices.Contains(rooms, name) && !forTests(p.ImportPath) {
					t.Errorf("%s imports %s, which belongs into %v", p.ImportPath, i, rooms)
				}
			}
		}
	}
}

// TestAUsersToolNeedsNoC: one static file, on any machine.
func TestAUsersToolNeedsNoC(t *testing.T) {
	for _, room := range []string{"cmd/specie", "wallet", "merchant", "evidence", "tpm", "attest", "opening", "ceremony/officer", "ceremony/approval", "ceremony/transcript", "signer"} {
		cmd := exec.Command("go", "list", "-deps", "-f", "{{if .CgoFiles}}{{if not .Standard}}{{.ImportPath}}{{end}}{{end}}", "./"+room)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if found := strings.Fields(string(out)); len(found) > 0 {
			t.Errorf("%s needs cgo through %v", room, found)
		}
	}
}
