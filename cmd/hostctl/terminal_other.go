//go:build !linux

package main

import "os"

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func windowSize(*os.File) (columns, rows int) { return 0, 0 }
