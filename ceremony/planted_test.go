package ceremony_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/speciecash/specie/ceremony"
	"github.com/speciecash/specie/ceremony/transcript"
	"github.com/speciecash/specie/hsm"
)

// plant leaves an unfinished transcript of a plan that officers approved, as
// anybody can who writes files: nobody has signed one before it is closed.
func (w *town) plant(t *testing.T, text string, entries ...told) {
	t.Helper()
	p := must(w.parse(text))(t)
	opened := transcript.Opened{
		Ceremony: string(p.Kind), Plan: transcript.Text(p.Text()), Inputs: must(p.Inputs())(t), Digest: must(p.Digest())(t),
		Roster: transcript.Text(w.file(t, "officers.yaml")),
	}
	for _, a := range must(w.approve(p, "ADAMS", "CLARK"))(t) {
		opened.Approvals = append(opened.Approvals, transcript.Text(a))
	}
	wr := must(transcript.Create(p.TranscriptPath(), func() time.Time { return w.at }))(t)
	defer wr.Release()
	for _, e := range append([]told{{transcript.EventOpened, opened}}, entries...) {
		if err := wr.Append(e.event, e.data); err != nil {
			t.Fatal(err)
		}
	}
}

func TestADestructionIsNotBelievedOfATranscript(t *testing.T) {
	for _, tt := range []struct {
		name   string
		keyset string
		event  transcript.Event
		alter  func(t *testing.T, w *town, d *transcript.Destroyed)
		want   error
	}{
		{"that it was done", "keyset-2.jws", transcript.EventDestroyed, nil, ceremony.ErrKey},
		{"that it was done, and the PIN is another now", "keyset-2.jws", transcript.EventDestroyed, func(t *testing.T, w *town, _ *transcript.Destroyed) {
			pin := hsm.RandomPIN()
			if err := errors.Join(os.Remove(w.path("online.pin")), pin.Save(w.path("online.pin"))); err != nil {
				t.Fatal(err)
			}
		}, ceremony.ErrKey},
		{"that it had begun, and the keys are still needed", "keyset-1.jws", transcript.EventErasing, nil, ceremony.ErrNeeded},
		{"that it had begun, with other keys", "keyset-2.jws", transcript.EventErasing, func(_ *testing.T, _ *town, d *transcript.Destroyed) {
			d.Keys = d.Keys[:2]
		}, ceremony.ErrKey},
		{"that it had begun, with another token", "keyset-2.jws", transcript.EventErasing, func(_ *testing.T, _ *town, d *transcript.Destroyed) {
			d.Serial = "0123456789abcdef"
		}, ceremony.ErrKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := revoked(t)
			gone := transcript.Destroyed{Token: "online"}
			w.withToken(t, "online", func(tok *hsm.Token) { gone.Serial = tok.Info().Serial })
			for _, log := range []string{"keyset-1.log", "signing.log"} {
				for _, k := range must(transcript.All[transcript.Key](w.log(t, log), transcript.EventKey))(t) {
					if k.Token == "online" {
						gone.Keys = append(gone.Keys, k.ID)
					}
				}
			}
			if tt.alter != nil {
				tt.alter(t, w, &gone)
			}
			text := change(t, destroyText, "keyset-2.jws", tt.keyset)
			w.plant(t, text, told{transcript.EventRehearsed, transcript.Rehearsed{OK: true}}, told{tt.event, gone})
			if _, err := w.run(t.Context(), text); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if n := w.objects(t, "online"); n != 6 {
				t.Errorf("%d objects in the token", n)
			}
			if _, err := must(transcript.ReadFile(w.path("destroy.log")))(t).VerifyClose(w.root(t)); !errors.Is(err, transcript.ErrOpen) {
				t.Errorf("the transcript: %v", err)
			}
		})
	}
}
