// Command demo plays Specie's main job on one machine, on real parts: a coin
// bound to a TPM goes from the bank's HSM to a merchant's till, and what must
// be refused is refused. It runs the programs that users run; see package
// devbox for what it sets up.
//
// It ends with the line "demo: N passed, M failed" and a status other than 0
// if anything failed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/devbox"
)

func main() {
	bin := flag.String("bin", "bin", "directory of specie, specied and specie-ceremony")
	dir := flag.String("dir", "", "state directory; a new one under the system's temporary directory by default")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := play(ctx, *bin, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "demo: error:", cli.OneLine(err.Error()))
		os.Exit(1)
	}
}

// errFailed: some step did not show what it must show.
var errFailed = errors.New("a step failed")

// play plays all acts, and then whatever else is to be done while the box runs.
func play(ctx context.Context, bin, dir string, after ...func(*stage) error) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "specie-demo-"); err != nil {
			return err
		}
	}
	box, err := devbox.New(dir, bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	fmt.Printf("Specie demo. Everything it makes is in %s (yours to look at, and to remove)\n", box.Dir)
	s := &stage{ctx: ctx, box: box}
	for _, act := range acts {
		if !s.play(act) {
			break // later acts stand on earlier ones
		}
	}
	s.table()
	fmt.Printf("demo: %d passed, %d failed\n", s.passed, s.failed)
	if s.failed > 0 {
		return fmt.Errorf("%w; logs are in %s", errFailed, filepath.Join(box.Dir, "run"))
	}
	for _, do := range after {
		if err := do(s); err != nil {
			return err
		}
	}
	return nil
}

// act is one numbered part of the demo.
type act struct {
	title string
	run   func(s *stage) error
}

var acts = []act{
	{"Key ceremonies on HSM tokens", (*stage).ceremonies},
	{"The bank and the group manager open, two processes with two databases", (*stage).daemons},
	{"Alice enrols the TPM of her laptop", (*stage).enrol},
	{"Alice has 100.00 in her account and draws 20.00 in coins bound to her TPM", (*stage).withdrawBound},
	{"She pays 12.34 for lunch; change rides along", (*stage).payBound},
	{"The same with bearer coins", (*stage).payBearer},
	{"The café gives 2.00 of it back", (*stage).refund},
	{"Alice gives Bob 3.00, in a picture", (*stage).friend},
	{"Bob's laptop is gone; 26 words bring his money back", (*stage).words},
	{"What must be refused", (*stage).refusals},
	{"Two supervisors open the double spend, on a warrant", (*stage).opening},
	{"On another warrant, her payments are found", (*stage).tracing},
	{"The papers of a lunch, checked with nobody to ask", (*stage).papers},
	{"The month's end at the bank", (*stage).monthEnd},
	{"The books", (*stage).books},
}

// stage is the demo as it runs.
type stage struct {
	ctx context.Context
	box *devbox.Box

	cast           // filled by the acts
	passed, failed int
	times          []timing
}

type timing struct {
	what string
	took time.Duration
	note string
}

func (s *stage) play(a act) bool {
	fmt.Printf("\n%d. %s\n", s.passed+s.failed+1, a.title)
	start := time.Now()
	if err := a.run(s); err != nil {
		s.failed++
		fmt.Printf("   FAILED: %s\n", cli.OneLine(err.Error()))
		return false
	}
	s.passed++
	fmt.Printf("   ok, %s\n", time.Since(start).Round(time.Millisecond))
	return true
}

// say narrates.
func (s *stage) say(format string, args ...any) { fmt.Printf("   "+format+"\n", args...) }

// timed measures one thing for the table.
func (s *stage) timed(what, note string, f func() error) error {
	start := time.Now()
	err := f()
	s.times = append(s.times, timing{what, time.Since(start), note})
	return err
}

func (s *stage) table() {
	rows := make([][]string, len(s.times))
	for i, t := range s.times {
		rows[i] = []string{t.what, fmt.Sprintf("%.0f ms", float64(t.took.Microseconds())/1000), t.note}
	}
	fmt.Println()
	cli.Table(os.Stdout, []string{"MEASURED", ">TIME", "WHAT IS IN IT"}, rows)
	fmt.Println()
}
