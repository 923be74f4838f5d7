package dockertest

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// An instruction of the Dockerfile.
type instruction struct{ name, args string }

// A stage is what a FROM begins.
type stage struct {
	base, name string
	does       []instruction
}

// readDockerfile reads the subset of Dockerfiles that ours is in: no parser
// directives, no heredocs, no ARG.
func readDockerfile(t testing.TB) (out []stage) {
	t.Helper()
	text := regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(string(read(t, "Dockerfile")), "")
	text = strings.ReplaceAll(text, "\\\n", " ")
	known := strings.Fields("WORKDIR ENV COPY RUN STOPSIGNAL HEALTHCHECK EXPOSE USER ENTRYPOINT CMD")
	for line := range strings.Lines(text) {
		name, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case name == "":
		case name == "FROM":
			base, as, ok := strings.Cut(args, " AS ")
			if !ok {
				t.Fatalf("a stage without a name: %s", line)
			}
			out = append(out, stage{base: base, name: as})
		case len(out) > 0 && slices.Contains(known, name):
			last := &out[len(out)-1]
			last.does = append(last.does, instruction{name, strings.TrimSpace(args)})
		default:
			t.Fatalf("an instruction that this test does not know: %s", line)
		}
	}
	return out
}

// of lists the arguments of a stage's instructions with a name, those of the
// stages that it is from first.
func of(stages []stage, target, name string) (out []string) {
	for _, s := range stages {
		if s.name != target {
			continue
		}
		out = of(stages, s.base, name)
		for _, i := range s.does {
			if i.name == name {
				out = append(out, i.args)
			}
		}
	}
	return out
}

func TestVersionsAreThoseOfTheTree(t *testing.T) {
	stages := readDockerfile(t)
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(string(read(t, "go.mod")))[1]
	setup := string(read(t, "scripts", "setup"))
	codenames := map[string]string{"12": "bookworm", "13": "trixie"}
	names := map[string]bool{}
	debian := ""
	for _, s := range stages {
		if m := regexp.MustCompile(`^debian:(\d+)\.\d+-slim$`).FindStringSubmatch(s.base); m != nil {
			debian = m[1]
		} else if s.name != "build" && !names[s.base] {
			t.Errorf("stage %s is from %q", s.name, s.base)
		}
		names[s.name] = true
	}
	// glibc is to be the same where the program is built and where it runs.
	if want := "golang:" + version + "-" + codenames[debian]; stages[0].base != want {
		t.Errorf("built in %s; go.mod and the other stages say %s", stages[0].base, want)
	}
	for _, s := range stages {
		for _, i := range s.does {
			_, list, ok := strings.Cut(i.args, "--no-install-recommends")
			if i.name != "RUN" || !ok {
				continue
			}
			list, tidied, _ := strings.Cut(list, "&&")
			for _, p := range strings.Fields(list) {
				if !strings.Contains(setup, "\n"+p+":") {
					t.Errorf("the package %s is not in scripts/setup", p)
				}
			}
			if !strings.Contains(tidied, "rm -rf /var/lib/apt/lists/*") {
				t.Errorf("%s: package lists stay in the layer", s.name)
			}
		}
	}
}

func TestImagesRunAsTheyShould(t *testing.T) {
	stages, c := readDockerfile(t), readCompose(t)
	for name, s := range c.Services {
		if s.Build.Context == "" {
			continue
		}
		target := s.Build.Target
		users, entry := of(stages, target, "USER"), of(stages, target, "ENTRYPOINT")
		if len(users) != 1 || strings.HasPrefix(users[0], "0") || strings.HasPrefix(users[0], "root") {
			t.Errorf("%s runs as %v", target, users)
		}
		if len(entry) != 1 || !strings.HasPrefix(entry[0], `["/`) {
			t.Errorf("%s begins with %v, which a shell would have to start", target, entry)
		}
		if checks := of(stages, target, "HEALTHCHECK"); len(checks) != 1 || !strings.Contains(checks[0], `CMD ["/`) {
			t.Errorf("%s: health checks %v", target, checks)
		}
		exposed := strings.Fields(strings.Join(of(stages, target, "EXPOSE"), " "))
		for _, p := range s.Ports {
			if inside := p[strings.LastIndexByte(p, ':')+1:]; !slices.Contains(exposed, inside) {
				t.Errorf("%s: the image does not say that it listens on %s", name, inside)
			}
		}
	}
	for _, e := range append(of(stages, "specie", "ENV"), of(stages, "specied", "ENV")...) {
		if key, _, _ := strings.Cut(e, "="); !strings.Contains(string(scripts(t)), key) {
			t.Errorf("no script reads %s", key)
		}
	}
}

// copied maps where an image has files of the tree to where the tree has them.
func copied(t testing.TB, stages []stage, target string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, args := range of(stages, target, "COPY") {
		words := strings.Fields(args)
		words = slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, "--chmod=") })
		if strings.HasPrefix(words[0], "--from=build") {
			continue
		}
		to := words[len(words)-1]
		for _, from := range words[:len(words)-1] {
			out[to+from[strings.LastIndexByte(from, '/')+1:]] = from
		}
	}
	return out
}

func TestWhatIsCopiedIsTracked(t *testing.T) {
	stages := readDockerfile(t)
	cmd := exec.Command("git", "ls-files", "-s")
	cmd.Dir = root
	list, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"build", "specie", "specied"} {
		for to, from := range copied(t, stages, target) {
			if from != "." && !strings.Contains(string(list), "\t"+from+"\n") {
				t.Errorf("%s: %s comes from %s, which git does not have", target, to, from)
			}
		}
	}
	for _, from := range copied(t, stages, "specied") {
		if !regexp.MustCompile(`(?m)^100755 .*\t` + regexp.QuoteMeta(from) + `$`).Match(list) {
			t.Errorf("%s is not executable", from)
		}
	}
	// What is built is built where it is copied from.
	runs := strings.Join(of(stages, "build", "RUN"), "\n")
	for _, args := range append(of(stages, "specie", "COPY"), of(stages, "specied", "COPY")...) {
		for _, m := range regexp.MustCompile(`/out/(\S+)`).FindAllStringSubmatch(args, -1) {
			if !strings.Contains(runs, "./cmd/"+m[1]) {
				t.Errorf("nobody builds %s", m[1])
			}
		}
	}
	ignored := string(read(t, ".dockerignore"))
	for _, secret := range []string{".git", "secrets", "**/*.pin", "**/*.key", "**/*.token", "**/*.password"} {
		if !strings.Contains(ignored, "\n"+secret+"\n") {
			t.Errorf("%s would get into a layer", secret)
		}
	}
	if gitignore := string(read(t, ".gitignore")); !strings.Contains(gitignore, "/secrets/\n") {
		t.Error("git would take secrets/")
	}
}
