package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"

	"github.com/speciecash/specie/cli"
	"github.com/speciecash/specie/coin"
	"github.com/speciecash/specie/wallet"
	seedwords "github.com/speciecash/specie/words"
)

var (
	errWordsCheck  = errors.New("that is not what was shown")
	errNoWordsHere = cli.Usage(errors.New("there is no terminal to type the words on: name their file with --words-file"))
	errNoWordsShow = cli.Usage(errors.New("there is no terminal to show the words on: --words-file writes them to a file"))
)

type wordsCmd struct {
	WordsFile string `help:"Write the words to this new file, mode 0600, and not to the terminal." placeholder:"FILE"`
}

func (wordsCmd) Help() string {
	return `Shows the words from which this purse can be made again, if they were never written down, and asks for three of them. Write them on paper, with their numbers. Whoever has them can spend the bearer coins.
They are shown until they were written down, and never afterwards. Where they are lost, make a backup ("specie backup"), or a new purse in another --home and give it the coins.

Example:
  specie words`
}

func (c wordsCmd) Run(a *app) error {
	return a.withWallet(func(w *wallet.Wallet) error {
		list, err := w.Words(a.ctx)
		if err != nil {
			return err
		}
		switch {
		case c.WordsFile != "":
			err = writeWords(c.WordsFile, list)
		case !a.out.CanAsk():
			err = errNoWordsShow
		default:
			err = a.showWords(list)
		}
		if err == nil {
			err = w.WordsWritten(a.ctx)
		}
		if err != nil {
			return err
		}
		return a.out.Result(map[string]bool{"written": true}, func(o io.Writer) {
			fmt.Fprintln(o, "the words are written down; they are not shown again")
		})
	})
}

// writeWords writes the words to a file, for who asked for that.
func writeWords(path string, list []string) error {
	return writeNew(path, []byte(strings.Join(list, "\n")+"\n"))
}

// wordsTries is how often the check may go wrong before it is given up.
const wordsTries = 3

// showWords shows words, and asks for three of them.
func (a *app) showWords(list []string) error {
	lines := []string{"", fmt.Sprintf("These %d words are your purse. Write them on paper, with their numbers.", len(list)),
		"Whoever reads them can spend your bearer coins; without them, what is lost with this machine is lost.", ""}
	rows := (len(list) + 2) / 3
	for i := range rows {
		line := ""
		for j := i; j < len(list); j += rows {
			line += fmt.Sprintf("%4d. %-12s", j+1, list[j])
		}
		lines = append(lines, line)
	}
	for try := 1; ; try++ {
		if err := a.out.Reveal(append(lines, ""), "press Enter when they are written down; they are gone from the screen then"); err != nil {
			return err
		}
		err := a.checkWords(list)
		if !errors.Is(err, errWordsCheck) || try == wordsTries {
			return err
		}
		a.out.Note("%v; here they are again", err)
	}
}

// checkWords asks for three words.
func (a *app) checkWords(list []string) error {
	for _, i := range threeOf(len(list)) {
		typed, err := a.out.AskLine(fmt.Sprintf("word %d", i+1))
		if err != nil {
			return err
		}
		if w, ok := seedwords.Known(typed); !ok || w != list[i] {
			return fmt.Errorf("word %d: %w", i+1, errWordsCheck)
		}
	}
	return nil
}

// threeOf are three different numbers below n, ascending.
func threeOf(n int) []int {
	var out []int
	for len(out) < 3 {
		i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
		if err == nil && !slices.Contains(out, int(i.Int64())) {
			out = append(out, int(i.Int64()))
		}
	}
	slices.Sort(out)
	return out
}

// noteWords says on the side that nobody has written the words down.
func (a *app) noteWords(w *wallet.Wallet) {
	if due, err := w.WordsDue(a.ctx); err == nil && due {
		a.out.Note("the words of this purse were never written down; without them, what is lost with this machine is lost: \"specie words\"")
	}
}

// readWords gets the words that a person has: from a file, or as they are typed.
func (a *app) readWords(file string) (coin.Seed, error) {
	if file != "" {
		text, err := cli.ReadSecretFile(file)
		if err != nil {
			return coin.Seed{}, err
		}
		return wallet.ParseWords(text)
	}
	if !a.out.CanAsk() {
		return coin.Seed{}, errNoWordsHere
	}
	typed, err := a.typeWords()
	if err != nil {
		return coin.Seed{}, err
	}
	for {
		seed, err := wallet.ParseWords(strings.Join(typed, " "))
		var wrong *seedwords.Error
		if !errors.As(err, &wrong) || len(typed) != seedwords.Count {
			return seed, err
		}
		a.out.Note("%v", wrong)
		if typed, err = a.mendWords(typed, wrong); err != nil {
			return coin.Seed{}, err
		}
	}
}

// typeWords asks for words until there are enough. What is not in the list is said
// at once, and its line not taken.
func (a *app) typeWords() ([]string, error) {
	var typed []string
	for len(typed) < seedwords.Count {
		line, err := a.out.AskLine(fmt.Sprintf("word %d and those that follow, a few or all in a line", len(typed)+1))
		if err != nil {
			return nil, err
		}
		next := strings.Fields(strings.ToLower(line))
		if len(next) == 0 {
			return typed, nil // it is said how many there are
		}
		if i := slices.IndexFunc(next, unknownWord); i >= 0 {
			a.out.Note("%v; the line is not taken", &seedwords.Error{
				Kind: seedwords.Unknown, Places: []int{len(typed) + i + 1}, Typed: next[i : i+1], Suggest: [][]string{seedwords.Near(next[i])},
			})
			continue
		}
		typed = append(typed, next...)
	}
	return typed, nil
}

func unknownWord(w string) bool { _, ok := seedwords.Known(w); return !ok }

// mendWords asks for the words that are said to be wrong. Where it can't be said
// which, that is the end.
func (a *app) mendWords(typed []string, wrong *seedwords.Error) ([]string, error) {
	switch wrong.Kind {
	case seedwords.Wrong, seedwords.Unknown, seedwords.Swapped:
	default:
		return nil, wrong
	}
	for _, p := range wrong.Places {
		w, err := a.out.AskLine(fmt.Sprintf("word %d", p))
		if err != nil {
			return nil, err
		}
		if w == "" {
			return nil, wrong
		}
		typed[p-1] = strings.ToLower(strings.Fields(w)[0])
	}
	return typed, nil
}
