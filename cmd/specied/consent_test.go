package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// consents tries the two commands that end a membership, with and without a
// terminal.
const consents = `
! exec setsid -w specied expel --socket $SOCKET -- $ADA
stderr 'Ada Lovelace, active$'
stderr 'error: no terminal to ask on: expel Ada Lovelace, '$ADA'\? This can''t be undone: .*\(--yes is an answer too\)'
! exec setsid -w specied readmit --socket $SOCKET -- $ADA
stderr 'error: no terminal to ask on: readmit Ada Lovelace, '$ADA'\? This ends the membership at once: .*\(--yes is an answer too\)'

ttyin no
! exec specied expel --socket $SOCKET -- $ADA
ttyout 'expel Ada Lovelace, '$ADA'\? \(yes/no\)'
ttyout 'type "yes" or "no" in full: expel Ada Lovelace'
stderr 'error: not confirmed; nothing was done$'
ttyin no
! exec specied readmit --socket $SOCKET -- $ADA
ttyout 'readmit Ada Lovelace, '$ADA'\? \(yes/no\)'
! stdout .
stderr 'error: not confirmed; nothing was done$'
exec specied member --socket $SOCKET -- $ADA
stdout 'Ada Lovelace, active'

ttyin yes
exec specied readmit --socket $SOCKET -- $ADA
stdout '^good once, until '
stderr 'This ends the membership at once'
ttyin yes
exec specied expel --socket $SOCKET -- $ADA
stdout 'Ada Lovelace, expelled'
stderr 'This can''t be undone'
-- yes --
y
Yes
-- no --
y
no
`

func TestNoMembershipEndsUnasked(t *testing.T) {
	a := newAuthority(t)
	script := filepath.Join(t.TempDir(), "consents.txtar")
	check(t, os.WriteFile(script, []byte(strings.TrimPrefix(consents, "\n")), 0o600))
	testscript.Run(t, testscript.Params{Files: []string{script}, RequireExplicitExec: true, Setup: func(env *testscript.Env) error {
		env.Setenv("PATH", filepath.Dir(a.bin)+string(filepath.ListSeparator)+env.Getenv("PATH"))
		env.Setenv("SOCKET", a.socket)
		env.Setenv("ADA", a.ada.String())
		return nil
	}})
}
