package schema

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"
)

var (
	quantityPattern = regexp.MustCompile(`^([1-9][0-9]*)(Ki|Mi|Gi|Ti)$`)
	durationPattern = regexp.MustCompile(`^([0-9]{1,4}d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$`)
	quantityShift   = map[string]uint{"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40}
)

// ParseQuantity reads a size such as 512Mi or 10Gi; the result is in bytes and above zero.
func ParseQuantity(s string) (int64, error) {
	m := quantityPattern.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%q isn't a size; write a whole number above zero with Ki, Mi, Gi or Ti, such as 512Mi or 10Gi", shorten(s))
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if shift := quantityShift[m[2]]; err != nil || n > math.MaxInt64>>shift {
		return 0, fmt.Errorf("%q is too large a size; the most is below 8388608Ti", shorten(s))
	}
	return n << quantityShift[m[2]], nil
}

// ParseDuration reads a duration such as 30s, 5m, 1h30m or 7d: whole seconds, above zero, at most a year.
func ParseDuration(s string) (time.Duration, error) {
	m := durationPattern.FindStringSubmatch(s)
	if s == "" || m == nil {
		return 0, fmt.Errorf("%q isn't a duration; write whole days, hours, minutes and seconds, such as 30s, 5m, 1h30m or 7d", shorten(s))
	}
	d, err := time.ParseDuration("0s" + s[len(m[1]):])
	if m[1] != "" {
		days, _ := strconv.Atoi(m[1][:len(m[1])-1]) // at most four digits
		d += time.Duration(days) * 24 * time.Hour
	}
	if err != nil || d <= 0 || d > 365*24*time.Hour {
		return 0, fmt.Errorf("%q isn't a duration between 1s and 365d", shorten(s))
	}
	return d, nil
}
