package main

import (
	"io"
	"os"
)

// terminal returns how to ask for the size of a terminal on which lines can be painted anew. Anything else isn't one.
// Asked for each time, the size follows whoever makes the window larger or smaller.
func terminal(w io.Writer) (size func() (columns, rows int), ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || os.Getenv("TERM") == "dumb" || !isTerminal(f) {
		return nil, false
	}
	return func() (int, int) {
		columns, rows := windowSize(f)
		if columns == 0 || rows == 0 {
			return 80, 24
		}
		return columns, rows
	}, true
}

// colours reports whether w is a terminal that may be written to in colours (https://no-color.org).
func colours(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(f)
}
