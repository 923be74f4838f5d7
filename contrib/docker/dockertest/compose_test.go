package dockertest

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// root is the tree.
const root = "../../.."

// compose is the part of the Compose Specification that compose.yaml uses. What
// is not here is an error: this test would not look at it.
type compose struct {
	Name     string             `yaml:"name"`
	Hardened yaml.Node          `yaml:"x-hardened"`
	Specied  yaml.Node          `yaml:"x-specied"`
	Checked  yaml.Node          `yaml:"x-checked"`
	Services map[string]service `yaml:"services"`
	Networks map[string]struct {
		Internal bool `yaml:"internal"`
	} `yaml:"networks"`
	Secrets map[string]struct {
		File string `yaml:"file"`
	} `yaml:"secrets"`
	Volumes map[string]struct{} `yaml:"volumes"`
}

type service struct {
	Image string `yaml:"image"`
	Build struct {
		Context string `yaml:"context"`
		Target  string `yaml:"target"`
	} `yaml:"build"`
	Profiles    []string          `yaml:"profiles"`
	Restart     string            `yaml:"restart"`
	ReadOnly    bool              `yaml:"read_only"`
	Tmpfs       []string          `yaml:"tmpfs"`
	CapDrop     []string          `yaml:"cap_drop"`
	CapAdd      []string          `yaml:"cap_add"`
	SecurityOpt []string          `yaml:"security_opt"`
	PidsLimit   int               `yaml:"pids_limit"`
	Logging     map[string]any    `yaml:"logging"`
	NetworkMode string            `yaml:"network_mode"`
	Networks    []string          `yaml:"networks"`
	Ports       []string          `yaml:"ports"`
	User        string            `yaml:"user"`
	GroupAdd    []string          `yaml:"group_add"`
	Entrypoint  []string          `yaml:"entrypoint"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Secrets     []struct {
		Source string `yaml:"source"`
		Target string `yaml:"target"`
	} `yaml:"secrets"`
	Volumes   []string `yaml:"volumes"`
	DependsOn map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	StopSignal      string `yaml:"stop_signal"`
	StopGracePeriod string `yaml:"stop_grace_period"`
	Healthcheck     struct {
		Disable       bool     `yaml:"disable"`
		Test          []string `yaml:"test"`
		Interval      string   `yaml:"interval"`
		Timeout       string   `yaml:"timeout"`
		Retries       int      `yaml:"retries"`
		StartPeriod   string   `yaml:"start_period"`
		StartInterval string   `yaml:"start_interval"`
	} `yaml:"healthcheck"`
}

// A mount is what of the engine's is seen where.
type mount struct {
	source, target string
	readOnly       bool
}

// mounts splits a service's volumes.
func (s *service) mounts(t testing.TB) (out []mount) {
	t.Helper()
	for _, v := range s.Volumes {
		parts := strings.Split(v, ":")
		if len(parts) < 2 || len(parts) > 3 || len(parts) == 3 && parts[2] != "ro" {
			t.Fatalf("volume %q", v)
		}
		out = append(out, mount{parts[0], parts[1], len(parts) == 3})
	}
	return out
}

func read(t testing.TB, parts ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{root}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readCompose(t testing.TB) *compose {
	t.Helper()
	var c compose
	if err := yaml.Load(read(t, "compose.yaml"), &c, yaml.WithKnownFields()); err != nil {
		t.Fatal(err)
	}
	return &c
}

// scripts are what containers begin with.
func scripts(t testing.TB) []byte {
	t.Helper()
	return bytes.Join([][]byte{read(t, "contrib", "docker", "entry.sh"), read(t, "contrib", "docker", "found.sh"), read(t, "contrib", "docker", "healthy.sh")}, []byte("\n"))
}

func TestEveryServiceHasNoMoreThanItNeeds(t *testing.T) {
	c := readCompose(t)
	users := map[string]string{}
	for name, s := range c.Services {
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || s.PidsLimit == 0 {
			t.Errorf("%s is not hardened", name)
		}
		if name != "found" && (s.CapAdd != nil || strings.HasPrefix(s.User, "0:") || s.User == "") {
			t.Errorf("%s is root, or may do what root may", name)
		}
		if s.Build.Context == "" && !regexp.MustCompile(`^[a-z]+:\d+\.\d+-[a-z]+$`).MatchString(s.Image) {
			t.Errorf("%s: image %q is not of one version", name, s.Image)
		}
		if checked := len(s.Healthcheck.Test) > 1 && s.Healthcheck.Test[0] == "CMD"; checked == s.Healthcheck.Disable {
			t.Errorf("%s: health check %+v", name, s.Healthcheck)
		}
		if !s.Healthcheck.Disable {
			if before, taken := users[s.User]; taken {
				t.Errorf("%s and %s are one user", name, before)
			}
			users[s.User] = name
		}
		for other, d := range s.DependsOn {
			if on, ok := c.Services[other]; !ok || d.Condition != "service_healthy" || on.Healthcheck.Disable {
				t.Errorf("%s waits for %s: %+v", name, other, d)
			}
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s: port %s is open to everybody", name, p)
			}
		}
		for _, n := range s.Networks {
			if _, ok := c.Networks[n]; !ok {
				t.Errorf("%s: no network %s", name, n)
			}
		}
	}
	for _, name := range []string{"bank-signer", "group-signer", "found", "counter"} {
		if s := c.Services[name]; s.NetworkMode != "none" || s.Networks != nil || s.Ports != nil {
			t.Errorf("%s has a network", name)
		}
	}
	if !c.Networks["ledger"].Internal || !slices.Equal(c.Services["postgres"].Networks, []string{"ledger"}) {
		t.Error("the database's network leads outside")
	}
}

func TestOnlyWhoMustSeesASecretOrATokensDirectory(t *testing.T) {
	c := readCompose(t)
	readers := map[string][]string{}
	for name, s := range c.Services {
		for _, secret := range s.Secrets {
			file := c.Secrets[secret.Source].File
			if filepath.Dir(file) != "secrets" && filepath.Dir(file) != "./secrets" || secret.Target != "/specie/secrets/"+filepath.Base(file) {
				t.Errorf("%s: secret %+v is the file %q", name, secret, file)
			}
			if !strings.Contains(string(scripts(t)), "secrets/"+filepath.Base(file)) && !strings.Contains(string(scripts(t)), " "+filepath.Base(file)+" ") {
				t.Errorf("nobody makes %s", file)
			}
			readers[secret.Source] = append(readers[secret.Source], name)
		}
		for _, m := range s.mounts(t) {
			if _, ok := c.Volumes[m.source]; !ok && !strings.HasPrefix(m.source, "./") {
				t.Errorf("%s: no volume %s", name, m.source)
			}
			if m.source == "papers" && name != "found" && !m.readOnly {
				t.Errorf("%s may change the papers", name)
			}
			if name != "found" {
				readers[m.source] = append(readers[m.source], name)
			}
		}
	}
	want := map[string]string{
		"bank-pin": "bank-signer", "bank-signer": "bank-signer", "bank-socket": "bank-signer issuer",
		"group-pin": "group-signer", "group-signer": "group-signer", "group-socket": "group group-signer",
		"database-password": "issuer", "postgres-password": "postgres", "database": "postgres",
		"issuer": "counter issuer", "group": "group", "counter": "counter till", "till": "till",
		"papers": "bank-signer counter group group-signer issuer till", "vault": "",
	}
	for what := range c.Volumes {
		readers[what] = append(readers[what], []string{}...)
	}
	for what, who := range readers {
		slices.Sort(who)
		if got := strings.Join(who, " "); got != want[what] {
			t.Errorf("%s is seen by %q, not by %q", what, got, want[what])
		}
	}
}

// TestEnvironmentIsUsed: each variable is read by a script, has that script's
// own default where both say one, and no secret is among them.
func TestEnvironmentIsUsed(t *testing.T) {
	c, text := readCompose(t), string(scripts(t))
	set := map[string]bool{"SPECIE_DIR": true} // the image's layout: for tests
	for name, s := range c.Services {
		for key, value := range s.Environment {
			if m := regexp.MustCompile(`(?i)pin|password|secret|token|key`).FindString(key); m != "" && !strings.HasSuffix(key, "_FILE") {
				t.Errorf("%s: %s shows a secret to whoever may inspect", name, key)
			}
			if !strings.HasPrefix(key, "SPECIE_") {
				continue
			}
			set[key] = true
			if !strings.Contains(text, "$"+key) && !strings.Contains(text, "${"+key) {
				t.Errorf("%s: nobody reads %s", name, key)
			}
			if m := regexp.MustCompile(`\$\{` + key + `:-([^}]*)\}`).FindStringSubmatch(text); m != nil && m[1] != value {
				t.Errorf("%s: %s is %q here and %q in the script", name, key, value, m[1])
			}
		}
	}
	for _, m := range regexp.MustCompile(`\$\{?(SPECIE_[A-Z_]+)`).FindAllStringSubmatch(text, -1) {
		if !set[m[1]] && m[1] != "SPECIE_HOME" {
			t.Errorf("compose.yaml does not say what %s is", m[1])
		}
	}
	uid := func(name string) string { id, _, _ := strings.Cut(c.Services[name].User, ":"); return id }
	for key, name := range map[string]string{"BANK_SIGNER": "bank-signer", "ISSUER": "issuer", "GROUP_SIGNER": "group-signer", "GROUP": "group", "TILL": "till", "POSTGRES": "postgres"} {
		if got := c.Services["found"].Environment["SPECIE_"+key+"_UID"]; got != uid(name) {
			t.Errorf("files are given to %s for %s, who is %s", got, name, uid(name))
		}
	}
	for name, signer := range map[string]string{"issuer": "bank-signer", "group": "group-signer"} {
		if !slices.Contains(c.Services[name].GroupAdd, uid(signer)) {
			t.Errorf("%s does not get to its signer's socket", name)
		}
	}
}
