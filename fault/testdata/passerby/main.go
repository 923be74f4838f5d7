// Command passerby arrives at two points, three times each.
package main

import (
	"fmt"

	"github.com/speciecash/specie/fault"
)

func main() {
	for i := range 3 {
		fault.Point("a")
		fmt.Println("a", i)
		fault.Point("b")
		fmt.Println("b", i)
	}
}
