package dockertest

import (
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
)

// built is where the three programs are; they are linked once.
var built struct {
	sync.Mutex
	dir string
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	defer func() {
		if err := os.RemoveAll(built.dir); err != nil {
			code = 1
		}
	}()
	return m.Run()
}

// programs returns a directory with the programs, which anybody may enter.
func programs(t testing.TB) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if built.dir != "" {
		return built.dir
	}
	dir := must(os.MkdirTemp("", "programs"))(t)
	check(t, os.Chmod(dir, 0o755))
	cmd := exec.Command("go", "build", "-o", dir+"/", "./cmd/specie", "./cmd/specied", "./cmd/specie-ceremony")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		_ = os.RemoveAll(dir)
		t.Fatalf("%v\n%s", err, out)
	}
	built.dir = dir
	return dir
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	return l.Addr().String()
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sorted[V any](m map[string]V) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
