// Package schedule reads the five fields of crontab(5), and finds when they come next in a time zone.
//
//	minute hour day month weekday
//	0-59   0-23 1-31 1-12  0-7 (0 and 7 are Sunday)
//
// A field is a list, separated by commas, of *, numbers, and ranges a-b; * and ranges may have a step: */5, 8-18/2. Months and
// weekdays may be named by three letters. Where neither day nor weekday begins with *, a day that matches either counts.
// @hourly, @daily (or @midnight), @weekly, @monthly and @yearly (or @annually) stand for what they say.
package schedule

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// Schedule says when something is due. The zero value is never.
type Schedule struct {
	minutes, hours, days, months, weekdays uint64 // a bit for each number
	anyHour, anyDay, anyWeekday            bool   // the field begins with *
}

// field is what one of the five may hold.
type field struct {
	name        string
	first, last int
	names       []string // of first and up
}

var fields = [5]field{
	{name: "minute", last: 59},
	{name: "hour", last: 23},
	{name: "day of the month", first: 1, last: 31},
	{name: "month", first: 1, last: 12, names: []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{name: "day of the week", last: 7, names: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

var shorthands = map[string]string{
	"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
	"@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}

// maxLength is more than anybody writes by hand.
const maxLength = 256

// Parse reads a schedule. One that never comes, such as the 30th of February, is an error.
func Parse(text string) (Schedule, error) {
	if len(text) > maxLength {
		return Schedule{}, fmt.Errorf("has %d characters; at most %d are allowed", len(text), maxLength)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return Schedule{}, errors.New("holds a line break, or what isn't ASCII; write five fields such as 30 2 * * *")
	}
	spelled, err := spell(text)
	if err != nil {
		return Schedule{}, err
	}
	words := strings.Fields(spelled)
	if len(words) != len(fields) {
		return Schedule{}, fmt.Errorf("%q has %d fields; write five: minute, hour, day of the month, month, day of the week", text, len(words))
	}
	s := Schedule{anyHour: words[1][0] == '*', anyDay: words[2][0] == '*', anyWeekday: words[4][0] == '*'}
	for i, set := range []*uint64{&s.minutes, &s.hours, &s.days, &s.months, &s.weekdays} {
		if *set, err = fields[i].parse(words[i]); err != nil {
			return Schedule{}, fmt.Errorf("%q: the %s %w", text, fields[i].name, err)
		}
	}
	s.weekdays |= s.weekdays >> 7 & 1 // 7 is Sunday too
	if !s.comes() {
		return Schedule{}, fmt.Errorf("%q never comes: no such day is in these months", text)
	}
	return s, nil
}

// spell replaces a shorthand by what it stands for.
func spell(text string) (string, error) {
	if !strings.HasPrefix(text, "@") {
		return text, nil
	}
	if long, ok := shorthands[text]; ok {
		return long, nil
	}
	return "", fmt.Errorf("%q isn't a schedule; there are @hourly, @daily, @weekly, @monthly, @yearly, and five fields such as 30 2 * * *", text)
}

func (f field) parse(text string) (uint64, error) {
	var set uint64
	for item := range strings.SplitSeq(text, ",") {
		bits, err := f.item(item)
		if err != nil {
			return 0, err
		}
		set |= bits
	}
	return set, nil
}

// item reads *, a number or a range, with its step.
func (f field) item(text string) (uint64, error) {
	whole, stepText, stepped := strings.Cut(text, "/")
	low, high, ranged := strings.Cut(whole, "-")
	first, last, step := f.first, f.last, 1
	var err error
	switch {
	case whole == "*":
	case ranged:
		if first, err = f.number(low); err == nil {
			last, err = f.number(high)
		}
		if err == nil && first > last {
			err = fmt.Errorf("has a range that ends before it begins: %s", whole)
		}
	default:
		first, err = f.number(low)
		last = first
		if err == nil && stepped {
			err = fmt.Errorf("has a step behind one number: write %s-%d/%s", whole, f.last, stepText)
		}
	}
	if err == nil && stepped {
		if step, err = number(stepText); err != nil || step < 1 || step > f.last {
			err = fmt.Errorf("has the step %q; write a number from 1 to %d", stepText, f.last)
		}
	}
	if err != nil {
		return 0, err
	}
	var set uint64
	for n := first; n <= last; n += step {
		set |= 1 << n
	}
	return set, nil
}

// number reads one of a field's numbers or names.
func (f field) number(text string) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(text, name) {
			return f.first + i, nil
		}
	}
	n, err := number(text)
	if err != nil || n < f.first || n > f.last {
		return 0, fmt.Errorf("can't be %q; write a number from %d to %d", text, f.first, f.last)
	}
	return n, nil
}

// number reads at most two decimal digits, and nothing else.
func number(text string) (int, error) {
	if len(text) > 2 {
		return 0, strconv.ErrSyntax
	}
	n, err := strconv.ParseUint(text, 10, 8)
	return int(n), err //nolint:gosec // two digits
}

// monthDays are the most days that each month has.
var monthDays = [13]int{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// comes reports whether there is any day.
func (s Schedule) comes() bool {
	if s.eitherDay() {
		return true // a weekday is in every month
	}
	for m := 1; m <= 12; m++ {
		if has(s.months, m) && bits.TrailingZeros64(s.days) <= monthDays[m] {
			return true
		}
	}
	return false
}

func has(set uint64, n int) bool { return set>>n&1 == 1 }

// eitherDay reports whether a day counts where the day of the month matches, or that of the week.
func (s Schedule) eitherDay() bool { return !s.anyDay && !s.anyWeekday }

// on reports whether a day counts.
func (s Schedule) on(day time.Time) bool {
	if !has(s.months, int(day.Month())) {
		return false
	}
	inMonth, inWeek := has(s.days, day.Day()), has(s.weekdays, int(day.Weekday()))
	if s.eitherDay() {
		return inMonth || inWeek
	}
	return inMonth && inWeek
}
