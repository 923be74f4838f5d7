package server

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/speciecash/specie/api/apitest"
	"github.com/speciecash/specie/client"
)

// constants are the string constants of a directory's files whose names begin
// with prefix, values by name.
func constants(t *testing.T, dir, prefix string) map[string]string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), dir+"/"+f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok || decl.Tok != token.CONST {
				continue
			}
			for _, s := range decl.Specs {
				spec := s.(*ast.ValueSpec)
				for i, name := range spec.Names {
					if !strings.HasPrefix(name.Name, prefix) || i >= len(spec.Values) {
						continue
					}
					if lit, ok := spec.Values[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
						if out[name.Name], err = strconv.Unquote(lit.Value); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		}
	}
	return out
}

func typesBy(who string) []string {
	var out []string
	for _, p := range ProblemTypes() {
		if who == "" || slices.Contains(p.By, who) {
			out = append(out, string(p.Code))
		}
	}
	slices.Sort(out)
	return out
}

func TestEveryCodeHasItsText(t *testing.T) {
	codes := constants(t, ".", "Code")
	if len(codes) < 40 {
		t.Fatalf("%d codes found in the source", len(codes))
	}
	have := typesBy("")
	for name, code := range codes {
		if !slices.Contains(have, code) {
			t.Errorf("%s (%s) has no row in ProblemTypes", name, code)
		}
	}
	if len(have) != len(codes) {
		t.Errorf("%d codes, %d rows", len(codes), len(have))
	}
	if len(slices.Compact(have)) != len(have) {
		t.Error("a code has two rows")
	}
	for _, p := range ProblemTypes() {
		if p.Means == "" || p.Do == "" || len(p.Status) == 0 || len(p.By) == 0 ||
			!slices.Contains([]Advice{Final, Retry, Ask}, p.Advice) {
			t.Errorf("%s: a part of its row is missing", p.Code)
		}
	}
	for name, code := range constants(t, "../merchant", "code") {
		if !slices.Contains(typesBy(byTill), code) {
			t.Errorf("merchant: %s (%s) has no row of the till's", name, code)
		}
	}
}

func TestTheContractsListTheCodesOfTheirServers(t *testing.T) {
	for file, who := range map[string]string{apitest.Issuer: byIssuer, apitest.Group: byGroup, apitest.Till: byTill} {
		c := apitest.Read(t, file)
		var listed []string
		for _, code := range c.Doc().Components.Schemas["Code"].Value.Enum {
			listed = append(listed, code.(string))
		}
		slices.Sort(listed)
		if want := typesBy(who); !slices.Equal(listed, want) {
			t.Errorf("%s lists %v,\nthe rows are %v", file, listed, want)
		}
		declared := c.Doc().Components.Schemas["Problem"].Value.Properties
		for _, p := range ProblemTypes() {
			for _, m := range p.Members {
				if declared[m] == nil && slices.Contains(p.By, who) && who == byIssuer {
					t.Errorf("%s: %s comes with %s, which is not declared", file, p.Code, m)
				}
			}
		}
	}
}

// TestTheAdviceAgreesWithTheClient: our own client gives up exactly on what
// the page calls final.
func TestTheAdviceAgreesWithTheClient(t *testing.T) {
	for _, p := range ProblemTypes() {
		for _, status := range p.Status {
			gives := (&client.Problem{Status: status, Code: string(p.Code)}).Final()
			if p.Advice == Final && !gives {
				t.Errorf("%s with status %d: the page says final, the client goes on", p.Code, status)
			}
			if status >= 500 && p.Advice != Retry {
				t.Errorf("%s with status %d: only what may be repeated is the server's fault", p.Code, status)
			}
		}
	}
}

// problemsPage is docs/problems.md.
func problemsPage() []byte {
	var b bytes.Buffer
	b.WriteString(`# Problems

[All pages](README.md) · for integrators

<!-- Made from server/problemtypes.go: go generate ./server -->

A refusal is an RFC 9457 problem document (` + "`application/problem+json`" + `) with these members:

| member | |
|---|---|
| ` + "`type`" + ` | ` + "`urn:specie:problem:`" + ` and the code |
| ` + "`code`" + ` | what programs match on; never renamed, never given another meaning |
| ` + "`status`" + ` | the HTTP status |
| ` + "`title`, `detail`" + ` | for people; the words may change |
| ` + "`request_id`" + ` | the answer's ` + "`X-Request-Id`" + `, to ask the operator with |

A program that does not know a code goes by the status: 400 to 499 is final, but for 401, 403, 404, 408, 425 and 429; those and 500 to 599 may be repeated unchanged. No answer at all is like 503: the request may be recorded, so repeat the same bytes and nothing else.

What to do:

- **final**: nothing was recorded, and the same request is refused for good;
- **retry**: the same bytes may get another answer, after ` + "`Retry-After`" + ` if it is there;
- **ask**: somebody has to do something first, the caller or the operator.

Who: the issuer, the group manager, the till (a merchant's ` + "`POST /pay`" + `). A till also passes on what its bank refused for good, under the bank's code.

`)
	for _, advice := range []Advice{Final, Retry, Ask} {
		fmt.Fprintf(&b, "## %s\n\n| code | status | who | what it means | what to do | members |\n|---|---|---|---|---|---|\n", advice)
		rows := map[Code]ProblemType{}
		for _, p := range ProblemTypes() {
			if p.Advice == advice {
				rows[p.Code] = p
			}
		}
		for _, code := range slices.Sorted(maps.Keys(rows)) {
			p := rows[code]
			status := make([]string, len(p.Status))
			for i, s := range p.Status {
				status[i] = strconv.Itoa(s)
			}
			members := ""
			if len(p.Members) > 0 {
				members = "`" + strings.Join(p.Members, "`, `") + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", p.Code, strings.Join(status, ", "), strings.Join(p.By, ", "), p.Means, p.Do, members)
		}
		b.WriteString("\n")
	}
	b.WriteString(`## Members

| member | |
|---|---|
`)
	for _, m := range problemMembers() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", m[0], m[1])
	}
	return b.Bytes()
}

// problemMembers says what the extension members are.
func problemMembers() [][2]string {
	return [][2]string{
		{"op", "the operation that stands in the way; `GET /v1/ops/{op}` shows it"},
		{"conflict", "that operation's spend with its owners' authorisation, and `coin`, the coin that both spend; how to verify it is in [api.md](api.md)"},
		{"not_before", "when the same request may be answered otherwise, RFC 3339"},
		{"limit", "which limit; those of `/v1/info` by their names there"},
		{"max", "what that limit is, in minor units where it is one of money"},
	}
}

func TestThePageOfProblemsIsUpToDate(t *testing.T) {
	known := map[string]bool{}
	for _, m := range problemMembers() {
		known[m[0]] = true
	}
	for _, p := range ProblemTypes() {
		for _, m := range p.Members {
			if !known[m] {
				t.Errorf("nothing is said of the member %s", m)
			}
		}
	}
	apitest.Page(t, "../docs/problems.md", problemsPage())
}
