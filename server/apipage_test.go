package server

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/speciecash/specie/api/apitest"
)

// endpoints is the table of a contract's routes.
func endpoints(doc *openapi3.T) []byte {
	var rows []string
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			who := op.Tags[0]
			if op.Security != nil {
				var scopes []string
				for _, s := range *op.Security {
					for _, list := range s {
						scopes = append(scopes, list...)
					}
				}
				if len(scopes) > 0 {
					who = "token: " + strings.Join(scopes, ", ")
				}
			}
			var answers []string
			for status := range op.Responses.Map() {
				if status != "default" {
					answers = append(answers, status)
				}
			}
			slices.Sort(answers)
			rows = append(rows, fmt.Sprintf("| `%s %s` | %s | %s | %s |\n", method, path, who, op.Summary, strings.Join(answers, ", ")))
		}
	}
	slices.SortFunc(rows, func(a, b string) int {
		_, a, _ = strings.Cut(a, " /")
		_, b, _ = strings.Cut(b, " /")
		return strings.Compare(a, b)
	})
	var b bytes.Buffer
	b.WriteString("| route | who | what | answers |\n|---|---|---|---|\n")
	for _, r := range rows {
		b.WriteString(r)
	}
	return b.Bytes()
}

func TestThePageOfTheAPIIsUpToDate(t *testing.T) {
	for name, file := range map[string]string{"issuer": apitest.Issuer, "group": apitest.Group, "till": apitest.Till, "desk": apitest.Desk} {
		apitest.Section(t, "../docs/api.md", name, endpoints(apitest.Read(t, file).Doc()))
	}
}
