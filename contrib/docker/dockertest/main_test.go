package dockertest

import (
	"os"
	"os/exec"
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
