package ceremony_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/hsm"
)

func TestSealedSecretsThatAreRefused(t *testing.T) {
	newTown(t, "manager").withToken(t, "manager", func(token *hsm.Token) { checkSealed(t, token) })
}

func checkSealed(t *testing.T, token *hsm.Token) {
	key := must(token.GenerateAES(t.Context(), "seal"))(t)
	other := must(token.GenerateAES(t.Context(), "other"))(t)
	sealed := func(group string) []byte {
		return must(must(ceremony.GenerateGroupSecrets(group))(t).Seal(t.Context(), key))(t)
	}
	good, second := sealed("TESTGROUP"), sealed("TESTGROUP")
	// field takes one member from the second file.
	field := func(names ...string) []byte {
		var a, b map[string]any
		if err := errors.Join(json.Unmarshal(good, &a), json.Unmarshal(second, &b)); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			a[name] = b[name]
		}
		return must(json.Marshal(a))(t)
	}
	tests := []struct {
		name   string
		data   []byte
		sealer ceremony.Sealer
		want   error
	}{
		{"as it was sealed", good, key, nil},
		{"under another key", good, other, hsm.ErrSealed},
		{"another group's", sealed("OTHERGROUP"), key, ceremony.ErrSealed},
		{"another group's under this one's name", bytes.Replace(sealed("OTHERGROUP"), []byte("OTHERGROUP"), []byte("TESTGROUP"), 1), key, hsm.ErrSealed},
		{"another W", field("w"), key, hsm.ErrSealed},
		{"another proof", field("w_proof"), key, hsm.ErrSealed},
		{"another form key", field("hpke"), key, hsm.ErrSealed},
		{"another box", field("box"), key, hsm.ErrSealed},
		{"all of another file", field("w", "w_proof", "hpke", "box"), key, nil},
		{"another version", bytes.Replace(good, []byte(`"v":1`), []byte(`"v":2`), 1), key, ceremony.ErrSealed},
		{"an unknown member", bytes.Replace(good, []byte(`"v":1`), []byte(`"v":1,"x":1`), 1), key, ceremony.ErrSealed},
		{"too large", append(bytes.Clone(good), make([]byte, ceremony.MaxSealed)...), key, ceremony.ErrSealed},
		{"nothing", nil, key, ceremony.ErrSealed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ceremony.UnsealGroup(t.Context(), tt.data, tt.sealer, "TESTGROUP"); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}
