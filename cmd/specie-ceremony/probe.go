package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/hsm"
)

// maxRateTime bounds how long one rate is measured.
const maxRateTime = time.Minute

var errProbe = errors.New("can't probe")

type probeCmd struct {
	Token        string        `arg:"" name:"uri" help:"The token, as a PKCS#11 URI with module-path."`
	Sessions     int           `default:"8" placeholder:"N" help:"How many sessions may sign at a time, for limits and rates."`
	Rate         time.Duration `default:"1s" placeholder:"TIME" help:"How long each rate is measured."`
	TokenObjects bool          `help:"Make the trial keys on the token, as real keys are. Some may stay until it is erased."`
}

// Help is shown below the flags.
func (probeCmd) Help() string {
	return `Makes trial keys by the rules of real ones, reads every attribute back, has the
keys work, and says what the token can do for Specie, what not, and why. The
keys last for a session, and nothing is left on the token. Some tokens make no
such keys, or treat them differently: probe those with --token-objects while
they are empty, and erase them afterwards.

The PIN comes from the URI's pin-source, or is asked for on the terminal.

Examples:
  specie-ceremony probe 'pkcs11:token=demobank-online?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:demobank-online.pin'
  specie-ceremony probe 'pkcs11:token=new?module-path=/opt/maker/lib/libpkcs11.so' --token-objects --json`
}

// Run implements the command.
func (c *probeCmd) Run(a *app) (err error) {
	u, err := hsm.ParseURI(c.Token)
	if err != nil {
		return err
	}
	switch {
	case u.Object != "" || u.ID != nil || u.Type != "":
		return fmt.Errorf("%w: the URI names a key, not only a token", errProbe)
	case u.ModulePath == "":
		return fmt.Errorf("%w: the URI has no module-path", errProbe)
	case c.Rate <= 0 || c.Rate > maxRateTime:
		return fmt.Errorf("%w: a rate is measured for up to %v, not for %v", errProbe, maxRateTime, c.Rate)
	}
	pin, err := u.ReadPIN(".", a.askPIN)
	if err != nil {
		return err
	}
	defer pin.Destroy()
	m, err := hsm.OpenModule(u.ModulePath)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	cfg := u.Config(pin)
	cfg.Sessions = c.Sessions
	r, err := hsm.Probe(a.ctx, m, cfg, hsm.ProbeOptions{
		TokenObjects: c.TokenObjects, RateTime: c.Rate, Progress: a.out.Bar("trying the token"),
	})
	if err != nil {
		return err
	}
	return a.print((*probeView)(r))
}

type probeView hsm.Report

func (v *probeView) text(w io.Writer) {
	fmt.Fprintf(w, "token %s, serial %s\n", clean(v.Token.Label), clean(v.Token.Serial))
	fmt.Fprintf(w, "  made by\t%s, model %s, firmware %s\n", clean(v.Token.Manufacturer), clean(v.Token.Model), v.Token.Firmware)
	fmt.Fprintf(w, "  library\t%s, %s %s, PKCS#11 %s\n", clean(v.Library.Path), clean(v.Library.Description), v.Library.Version, v.Library.Cryptoki)
	fmt.Fprintf(w, "  sessions\t%s; %d were open at a time\n", v.sessionLimit(), v.Limits.Opened)
	fmt.Fprintf(w, "  PIN\t%d to %d bytes\n", v.Limits.MinPIN, v.Limits.MaxPIN)
	if m := v.Limits.PrivateMemory; m != nil {
		fmt.Fprintf(w, "  free\t%d bytes for private objects\n", *m)
	}
	fmt.Fprintf(w, "  mechanisms\t%d in all\n\n", len(v.Mechanisms))
	v.mechanisms(w)
	v.uses(w)
	v.attributes(w)
	v.advice(w)
}

func (v *probeView) sessionLimit() string {
	switch n := v.Limits.Sessions; {
	case n == nil:
		return "limit not told"
	case *n == 0:
		return "no limit"
	default:
		return fmt.Sprintf("at most %d", *n)
	}
}

// mechanisms shows those that Specie uses.
func (v *probeView) mechanisms(w io.Writer) {
	var rows [][]string
	for _, m := range v.Mechanisms {
		if !strings.HasPrefix(m.Name, "CKM_") {
			continue
		}
		where := "software"
		if m.Hardware {
			where = "hardware"
		}
		rows = append(rows, []string{m.Name, fmt.Sprintf("%d to %d", m.Min, m.Max), where, strings.Join(m.For, ", ")})
	}
	cli.Table(w, []string{"MECHANISM", "KEY SIZE", "IN", "FOR"}, rows)
	fmt.Fprintln(w)
}

// uses shows what the token is good for, and the rates.
func (v *probeView) uses(w io.Writer) {
	var rows [][]string
	for _, u := range v.Uses {
		row := []string{u.Name, "no", "", ""}
		if u.Can {
			row[1] = "yes"
		}
		for i, r := range u.Rates {
			row[2+i] = fmt.Sprintf("%s/s by %d", strconv.FormatFloat(r.PerSecond, 'f', 0, 64), r.Sessions)
		}
		rows = append(rows, row)
	}
	cli.Table(w, []string{"USE", "CAN", ">ONE SESSION", ">ALL SESSIONS"}, rows)
	for _, u := range v.Uses {
		for _, why := range u.Why {
			fmt.Fprintf(w, "no %s: %s\n", u.Name, clean(why))
		}
	}
	fmt.Fprintln(w)
}

// attributes shows what the token does otherwise than it is asked to, once for
// all uses.
func (v *probeView) attributes(w io.Writer) {
	var rows [][]string
	for _, u := range v.Uses {
		for _, f := range u.Attributes {
			verdict := "a bank can't do without"
			switch {
			case f.Finding == hsm.Different:
				verdict = "must be " + f.Must
			case f.Spare:
				verdict = "a bank can do without"
			}
			row := []string{f.Attribute, f.Half, f.Finding, clean(f.Is), verdict}
			if !slices.ContainsFunc(rows, func(r []string) bool { return slices.Equal(r, row) }) {
				rows = append(rows, row)
			}
		}
	}
	if len(rows) == 0 {
		return
	}
	slices.SortStableFunc(rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	cli.Table(w, []string{"ATTRIBUTE", "OF KEY", "FOUND", "IS", "VERDICT"}, rows)
	fmt.Fprintln(w)
}

// advice says what to do with all that.
func (v *probeView) advice(w io.Writer) {
	if len(v.Absent) > 0 {
		fmt.Fprintf(w, "plans and configurations for this token need: absent: [%s]\n", strings.Join(v.Absent, ", "))
	}
	if v.Left > 0 {
		fmt.Fprintf(w, "left on the token: %d objects labelled %s; erase it before it is used\n", v.Left, v.Label)
	}
	if !v.SessionObjects && !v.TokenObjects {
		fmt.Fprintln(w, "no key could be made for a session: probe the token while it is empty with --token-objects, and erase it afterwards")
	}
}
