package registration_test

import (
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/speciecash/specie/registration/registrationtest"
)

// BenchmarkEnrolment is what one enrolment costs the manager on one core:
// chain, join proof, form, challenge, credential, and the SQLite register on
// this machine's disk. What the TPM and the wallet do is not counted. Beside
// the time by the clock it reports that of the processor alone, which other
// programs on the machine don't spoil.
func BenchmarkEnrolment(b *testing.B) {
	w, maker := softWorld(b)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var used, since time.Duration
	stop := func() { used += processor(b) - since; b.StopTimer() }
	start := func() { b.StartTimer(); since = processor(b) }
	since = processor(b)
	for b.Loop() {
		stop()
		s := maker.TPM(b, nil)
		start()
		open, err := w.Begin(b.Context(), s.BeginRequest())
		must(b, err)
		stop()
		join := s.Join(b, w, open, "Ada Lovelace")
		start()
		ch, err := w.Join(b.Context(), open.ID, join)
		must(b, err)
		stop()
		mac := registrationtest.MAC(b, s.Answer(b, ch), open.ID)
		start()
		_, err = w.Activate(b.Context(), open.ID, mac)
		must(b, err)
	}
	used += processor(b) - since
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "enrolments/s")
	b.ReportMetric(float64(b.N)/used.Seconds(), "enrolments/processor-s")
}

// processor is the time that this process has had of the processors.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
