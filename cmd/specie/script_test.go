package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/docstest"
	"github.com/speciecash/specie/issuer"
	"github.com/speciecash/specie/registration/registrationtest"
	"github.com/speciecash/specie/tpm"
	"github.com/speciecash/specie/tpm/swtpm"
	"github.com/speciecash/specie/wallet/wallettest"
)

// tests ends the town's TPMs and tokens after the tests.
type tests struct{ m *testing.M }

func (t tests) Run() int { return wallettest.Main(t.m) }

// TestMain lets scripts run this program as a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"specie": func() { program(ahead).Main() }})
}

// ahead is the town's clock, see the script command forward.
func ahead() time.Time {
	d, _ := time.ParseDuration(os.Getenv("TOWN_AHEAD"))
	return time.Now().Add(d)
}

// TestScripts runs testdata/script: the manual of the command. Each script has
// a town of its own: a bank at $BANK and a group manager at $GROUP, whose root
// certificate is root.pem, and TPMs at $TPM_A, $TPM_B and $TPM_STRANGER.
//
// Beside the commands of package testscript there are:
//
//	exits CODE PROGRAM ARGS...  the program must end with that status
//	account FILE AMOUNT         opens a holder's account; its token in FILE
//	merchant REQUEST FILE       opens a merchant's account; its token in FILE
//	holds FILE AMOUNT           the account of that token must hold so much
//	shut SERVER, open SERVER    bank or group: looks dead, or lives again
//	lose WHAT SERVER PATH       request or answer: lost once on the wire
//	revoke KIND AMOUNT          the bank revokes the key of that worth
//	losekey KIND AMOUNT         the bank's token loses it, and the bank says so
//	field FILE NAME VAR         the member of the first object in a JSON list, into $VAR
//	address FILE VAR            waits for a till, its address into $VAR
//	readmit NAME FILE           the group manager ends that membership; the code in FILE
//	expel NAME                  the group manager expels
//	warrant NUMBER              two supervisors sign one, the group manager enters it
//	rewrite register, rewrite nothing
//	                            he shows a register that he never kept, or his own
//	tpm new VAR                 one more good TPM, its address into $VAR
//	tpm reset VAR               power off and on, as at a reboot
//	tpm cut VAR                 the same without notice
//	tpm clear VAR               as in the firmware's set-up: its keys are lost
//	tpm tries VAR N SECONDS     locks out after N wrong PINs, forgets one after SECONDS
//	tpm forgive VAR             its owner ends the lock-out
//	tpm certificate VAR FILE    what its maker could hand out, as DER
//	approve NAME VAR PCR...     the group manager approves the state that TPM is in
//	extend VAR PCR              that register of the TPM changes, as by an update
//	forward DURATION            everybody's clock goes forward
//	picture LINK FILE...        draws a link's QR code, in as many parts as files
//	speaks SERVER PATH [again]  refuses with an answer that plays tricks on terminals, or behaves
//	nasty FILE TEXT             the text and such tricks behind it
//	tame PROGRAM ARGS...        however it ends, nothing that it says plays any
//	notes FILE PROGRAM ARGS...  runs it as a person who writes words down, into FILE; who chooses
//	                            $SECRET where asked for one; who is wrong $WRONG times
//	unseal HOME                 makes the purse one of a version before purses were encrypted
//	clock DURATION              this machine's clock is off by that, and nobody else's
//	keyset older                the bank serves its first keyset again, after a second
//	keyset forked               another with the number of the one in force
//	keyset right                the one in force
//	authority CERT KEY          somebody's own authority for certificates, and its key
//	certifies CA CAKEY CERT KEY NUMBER
//	                            its certificate for this machine, with that number
//	browse LINK CA HTTP NUMBER  a browser that trusts CA enters a till's page, over HTTP 1.1 or
//	                            2, by the certificate of that number, and sees events come
//	stranger FILE               the root certificate of another world
//	elsewhere FILE URL          a link to an offer of a merchant at another bank
//	flip FILE FILE              copies a payment with one byte of a coin changed
func TestScripts(t *testing.T) {
	runScripts(t, testscript.Params{Dir: filepath.Join("testdata", "script")})
}

// runScripts runs scripts, each in a town of its own.
func runScripts(t *testing.T, p testscript.Params) {
	t.Helper()
	p.RequireExplicitExec, p.RequireUniqueNames = true, true
	var lab sync.Mutex
	p.Setup = func(env *testscript.Env) error {
		// The lab's TPMs have three slots and no resource manager: one script at
		// a time has them.
		script := strings.TrimPrefix(filepath.Base(env.WorkDir), "script-") + ".txtar"
		if text, err := os.ReadFile(filepath.Join(p.Dir, script)); err != nil || strings.Contains(string(text), "$TPM_") {
			lab.Lock()
			env.Defer(lab.Unlock)
		}
		return setup(t, env)
	}
	p.Cmds = map[string]func(*testscript.TestScript, bool, []string){
		"exits": exits, "account": account, "merchant": merchantAccount, "holds": holds,
		"shut": shutting(true), "open": shutting(false), "lose": lose,
		"revoke": mark((*wallettest.Town).Revoke), "losekey": mark((*wallettest.Town).Lose), "address": address, "flip": flip, "picture": picture,
		"speaks": speaks, "tame": tame, "nasty": nastyText, "field": field,
		"tpm": device, "approve": approve, "extend": extend,
		"notes": notes, "unseal": unseal,
		"forward": forward, "clock": clock, "keyset": keyset, "stranger": stranger, "elsewhere": elsewhere, "readmit": readmit, "expel": expel, "warrant": enterWarrant, "rewrite": rewrite,
		"authority": authority, "certifies": certifies, "browse": browse,
		"plays": docstest.Plays,
	}
	testscript.Run(t, p)
}

type scene struct {
	*wallettest.Town
	t        testing.TB
	accounts map[string]string // by token
	tpms     map[string]*swtpm.Emulator
	first    []byte               // the keyset before the one in force, once there is one
	approver *wallettest.Approver // nil until something was approved
}

func setup(t *testing.T, env *testscript.Env) error {
	s := &scene{t: t, accounts: map[string]string{}, tpms: map[string]*swtpm.Emulator{}}
	script, ok := env.T().(testing.TB)
	if !ok {
		return errors.New("not run by package testing")
	}
	s.t, s.Town = script, wallettest.New(script)
	env.Values["scene"] = s
	env.Setenv("BANK", s.BankURL)
	env.Setenv("GROUP", s.GroupURL)
	env.Setenv("SPECIE_HOME", filepath.Join(env.WorkDir, "home"))
	for name, number := range map[string]int{"TPM_A": registrationtest.TPMA, "TPM_B": registrationtest.TPMB, "TPM_STRANGER": registrationtest.Stranger} {
		env.Setenv(name, s.TPM(script, number))
	}
	return os.WriteFile(filepath.Join(env.WorkDir, "root.pem"), s.RootPEM, 0o600)
}

func sceneOf(ts *testscript.TestScript) *scene { return ts.Value("scene").(*scene) }

func need(ts *testscript.TestScript, neg bool, args []string, n int) {
	if neg || len(args) < n {
		ts.Fatalf("wrong use of this command")
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2)
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var status *exec.ExitError
	if errors.As(err, &status) {
		got = status.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("ended with %d, not %d", got, want)
	}
}

func parseAmount(ts *testscript.TestScript, text string) coin.Amount {
	a, err := coin.ParseAmount(text, 2)
	ts.Check(err)
	return a
}

func (s *scene) save(ts *testscript.TestScript, file, id, token string) {
	s.accounts[token] = id
	ts.Check(os.WriteFile(ts.MkAbs(file), []byte(token+"\n"), 0o600))
}

func account(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2)
	s := sceneOf(ts)
	id, token := s.Account(s.t, issuer.Holder, "", parseAmount(ts, args[1]))
	s.save(ts, args[0], id, token)
}

func merchantAccount(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2)
	s := sceneOf(ts)
	a, token, err := s.Bank.OpenMerchant(s.t.Context(), "a merchant", []byte(strings.TrimSpace(ts.ReadFile(args[0]))))
	ts.Check(err)
	s.save(ts, args[1], a.ID, string(token))
}

func holds(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2)
	s := sceneOf(ts)
	got := s.Balance(s.t, s.accounts[strings.TrimSpace(ts.ReadFile(args[0]))])
	if want := parseAmount(ts, args[1]); got != want {
		ts.Fatalf("the account holds %s", got.Format(2))
	}
}

func (s *scene) gate(ts *testscript.TestScript, name string) *wallettest.Gate {
	switch name {
	case "bank":
		return &s.BankGate
	case "group":
		return &s.GroupGate
	}
	ts.Fatalf("no server %q", name)
	return nil
}

func shutting(shut bool) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		need(ts, neg, args, 1)
		for _, name := range args {
			sceneOf(ts).gate(ts, name).Shut(shut)
		}
	}
}

func lose(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 3)
	fate := map[string]wallettest.Fate{"request": wallettest.LoseRequest, "answer": wallettest.LoseAnswer}[args[0]]
	if fate == wallettest.Deliver {
		ts.Fatalf("lose what?")
	}
	sceneOf(ts).gate(ts, args[1]).LoseNext(args[2], fate)
}

func mark(how func(*wallettest.Town, testing.TB, coin.Kind, ...coin.Amount)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		need(ts, neg, args, 2)
		s := sceneOf(ts)
		how(s.Town, s.t, coin.Kind(args[0]), parseAmount(ts, args[1]))
	}
}

func address(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2)
	for range 1000 {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if _, _, serr := net.SplitHostPort(string(text)); err == nil && serr == nil {
			ts.Setenv(args[1], string(text))
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("no till opened")
}

// field reads a member of the first object of a list.
func field(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 3)
	var list []map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &list))
	text, ok := "", false
	if len(list) > 0 {
		text, ok = list[0][args[1]].(string)
	}
	if !ok {
		ts.Fatalf("no text %q in the first object", args[1])
	}
	ts.Setenv(args[2], text)
}

// device does something to a TPM of this script's own.
func device(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2)
	s, what, name := sceneOf(ts), args[0], args[1]
	if what == "new" {
		s.tpms[name] = s.NewTPM(s.t)
		ts.Setenv(name, s.tpms[name].TCTI())
		return
	}
	e := s.tpms[name]
	if e == nil {
		ts.Fatalf("no TPM %q was made here", name)
	}
	ctx := s.t.Context()
	switch what {
	case "reset":
		ts.Check(e.Reset(ctx))
	case "cut":
		ts.Check(e.PowerCut(ctx))
	case "clear":
		ts.Check(e.Clear(ctx))
	case "forgive":
		ts.Check(e.ForgiveFailures(ctx))
	case "tries":
		need(ts, neg, args, 4)
		n, err := strconv.Atoi(args[2])
		ts.Check(err)
		seconds, err := strconv.Atoi(args[3])
		ts.Check(err)
		ts.Check(e.SetDictionaryAttack(ctx, n, time.Duration(seconds)*time.Second))
	case "certificate":
		need(ts, neg, args, 3)
		d, err := tpm.Open(ctx, e.TCTI())
		ts.Check(err)
		eks, err := d.EKs(ctx)
		ts.Check(errors.Join(err, d.Close()))
		ts.Check(os.WriteFile(ts.MkAbs(args[2]), eks[0].CertificateDER, 0o600))
	default:
		ts.Fatalf("tpm %s?", what)
	}
}

// flip changes a character of the first coin's last ones: they are of the
// bank's signature.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2)
	var spend map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &spend))
	coins := spend["coins"].([]any)
	text := []byte(fmt.Sprint(coins[0]))
	if at := len(text) - 5; text[at] == 'A' {
		text[at] = 'B'
	} else {
		text[at] = 'A'
	}
	coins[0] = string(text)
	out, err := json.Marshal(spend)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), out, 0o600))
}
