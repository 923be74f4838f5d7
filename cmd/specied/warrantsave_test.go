package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/speciecash/specie/groupdoc"
	"github.com/speciecash/specie/groupdoc/groupdoctest"
	"github.com/speciecash/specie/groupdoc/warrant"
	"github.com/speciecash/specie/groupdoc/warrant/warranttest"
	"github.com/speciecash/specie/trust"
)

// groupAnswers is the address of a manager whose pages have two entries.
func groupAnswers(t *testing.T, doc []byte, r *warrant.Register) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/group", func(w http.ResponseWriter, _ *http.Request) {
		check(t, json.NewEncoder(w).Encode(map[string]string{"document": string(doc)}))
	})
	mux.HandleFunc("GET /v1/warrants", func(w http.ResponseWriter, q *http.Request) {
		after := must(strconv.Atoi(q.URL.Query().Get("after")))(t)
		page := warrant.Register{Group: r.Group}
		if after < len(r.Entries) {
			page.Entries = r.Entries[after:min(after+2, len(r.Entries))]
		}
		w.Header().Set("Content-Type", "application/json")
		_, err := w.Write(must(page.Marshal())(t))
		check(t, err)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func TestTheWholeRegisterIsSaved(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	c := warranttest.New(groupdoctest.New(t, now, []byte("a template"), [32]byte{1}))
	for i := range 5 {
		c.Enter(t, c.Sign(t, c.Draft(warrant.Open, warrant.Case([32]byte{byte(i)}), now)), now)
	}
	doc := c.Group.Sign(t)
	published := warrant.Register{Group: c.Register.Group, Entries: slices.Clone(c.Register.Entries)}
	c.Enter(t, c.Sign(t, c.Draft(warrant.Open, warrant.Case([32]byte{9}), now)), now)
	rewritten := warrant.Register{Group: published.Group, Entries: slices.Clone(published.Entries)}
	rewritten.Entries[4].Scope = warrant.Trace
	elsewhere := warrant.Register{Group: "OTHERGROUP", Entries: published.Entries}
	foreign := groupdoctest.New(t, now, []byte("a template"), [32]byte{1})
	for _, tt := range []struct {
		name     string
		root     *trust.Root
		register *warrant.Register
		want     error
	}{
		{"as published", c.Root, &published, nil},
		{"grown since the document", c.Root, &c.Register, nil},
		{"an entry missing", c.Root, &warrant.Register{Group: published.Group, Entries: published.Entries[:4]}, warrant.ErrRegister},
		{"an entry changed", c.Root, &rewritten, warrant.ErrRegister},
		{"another group's", c.Root, &elsewhere, warrant.ErrRegister},
		{"under another root", foreign.Root, &published, trust.ErrChain},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, register, err := saveRegister(t.Context(), tt.root, groupAnswers(t, doc, tt.register))
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err != nil {
				return
			}
			if string(got) != string(doc) || !slices.Equal(register.Entries, published.Entries) {
				t.Errorf("%d entries", len(register.Entries))
			}
		})
	}
	c.Register.Entries, c.Contents.Warrants = nil, groupdoc.WarrantHead{}
	if _, register, err := saveRegister(t.Context(), c.Root, groupAnswers(t, c.Group.Sign(t), &c.Register)); err != nil || len(register.Entries) != 0 {
		t.Errorf("an empty register: %v", err)
	}
}
