package client_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/speciecash/specie/client"
)

func TestAClockThatIsOffIsFoundOut(t *testing.T) {
	there := time.Date(2026, 11, 21, 18, 3, 0, 0, time.UTC)
	serve := func(date string) string {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Date", date) }))
		t.Cleanup(srv.Close)
		return srv.URL
	}
	right, none := serve(there.Format(http.TimeFormat)), serve("yesterday")
	for _, c := range []struct {
		name string
		here time.Time
		asks []string
		want string
	}{
		{"a day behind", there.AddDate(0, 0, -1), []string{right}, "this machine's clock is a day behind that of HOST (there 2026-11-21 18:03 UTC, here 2026-11-20 18:03 UTC)"},
		{"three hours ahead", there.Add(3 * time.Hour), []string{right}, "this machine's clock is 3 hours ahead of that of HOST (there 2026-11-21 18:03 UTC, here 2026-11-21 21:03 UTC)"},
		{"a quarter of an hour", there.Add(15 * time.Minute), []string{right}, "this machine's clock is 15 minutes ahead of that of HOST (there 2026-11-21 18:03 UTC, here 2026-11-21 18:18 UTC)"},
		{"no more than an answer takes", there.Add(time.Minute), []string{right}, ""},
		{"one of two servers is wrong, not this machine", there, []string{right, serve(there.AddDate(0, 0, 2).Format(http.TimeFormat))}, ""},
		{"a server that does not say", there.AddDate(1, 0, 0), []string{none}, ""},
		{"nobody was asked", there, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := client.NewClock(func() time.Time { return c.here })
			for _, url := range c.asks {
				resp, err := clock.HTTP(time.Minute).Get(url)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
			}
			s, off := clock.Off()
			if off != (c.want != "") {
				t.Fatalf("got %v", s)
			}
			if want := strings.ReplaceAll(c.want, "HOST", strings.TrimPrefix(right, "http://")); off && s.String() != want {
				t.Errorf("got %q, want %q", s, want)
			}
		})
	}
}
