package schema

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// The values that PHP settings take.
var (
	iniSize   = regexp.MustCompile(`^(0|[1-9][0-9]{0,6}[KMG]?)$`)
	iniNumber = regexp.MustCompile(`^(-1|0|[1-9][0-9]{0,8})$`)
	iniFlag   = regexp.MustCompile(`^(?i:on|off|0|1)$`)
	iniWord   = regexp.MustCompile(`^[A-Za-z0-9_./+-]{1,64}$`)
	iniLevel  = regexp.MustCompile(`^(-1|[0-9]{1,5}|E_[A-Z_]+( *[&|^] *~?E_[A-Z_]+)*)$`)
)

// iniSettings are the PHP settings a tenant may change: those that size or shape its own site. Not among them is what
// leads out of it: folders, programs, extensions, wrappers, and files that PHP loads by itself.
var iniSettings = map[string]*regexp.Regexp{
	"memory_limit": iniSize, "upload_max_filesize": iniSize, "post_max_size": iniSize, "realpath_cache_size": iniSize, "output_buffering": iniNumber,
	"max_execution_time": iniNumber, "max_input_time": iniNumber, "max_input_vars": iniNumber, "max_input_nesting_level": iniNumber, "max_file_uploads": iniNumber,
	"realpath_cache_ttl": iniNumber, "default_socket_timeout": iniNumber, "precision": iniNumber, "serialize_precision": iniNumber,
	"pcre.backtrack_limit": iniNumber, "pcre.recursion_limit": iniNumber,
	"display_errors": iniFlag, "display_startup_errors": iniFlag, "log_errors": iniFlag, "html_errors": iniFlag, "short_open_tag": iniFlag,
	"file_uploads": iniFlag, "expose_php": iniFlag, "zlib.output_compression": iniFlag, "assert.exception": iniFlag,
	"error_reporting": iniLevel, "date.timezone": iniWord, "default_charset": iniWord, "variables_order": iniWord, "request_order": iniWord,
	"session.gc_maxlifetime": iniNumber, "session.gc_probability": iniNumber, "session.gc_divisor": iniNumber, "session.cookie_lifetime": iniNumber,
	"session.cookie_secure": iniFlag, "session.cookie_httponly": iniFlag, "session.cookie_samesite": iniWord, "session.name": iniWord,
	"session.use_strict_mode": iniFlag, "session.cache_limiter": iniWord, "session.cache_expire": iniNumber,
	"opcache.enable": iniFlag, "opcache.validate_timestamps": iniFlag, "opcache.revalidate_freq": iniNumber,
	"mbstring.language": iniWord, "intl.default_locale": iniWord,
}

// CheckINI accepts a PHP setting that a tenant may change, with a value of the setting's own type.
func CheckINI(key, value string) error {
	pattern, ok := iniSettings[key]
	if !ok {
		text := "isn't a PHP setting that a site may change"
		if near := nearest(key, iniKeys()); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
		}
		return errors.New(text)
	}
	if !pattern.MatchString(value) {
		return fmt.Errorf("is %q; write %s", shorten(value), iniHint[pattern])
	}
	return nil
}

var iniHint = map[*regexp.Regexp]string{
	iniSize:   "a size such as 128M",
	iniNumber: "a whole number",
	iniFlag:   `"on" or "off"`,
	iniWord:   "one word, such as Europe/Berlin",
	iniLevel:  "error levels such as E_ALL & ~E_NOTICE",
}

func iniKeys() []string {
	return slices.Sorted(maps.Keys(iniSettings))
}

// iniBytes is the bytes that a size of PHP means; 0 for no limit.
func iniBytes(value string) int64 {
	digits := strings.TrimRight(value, "KMG")
	var n int64
	if _, err := fmt.Sscan(digits, &n); err != nil {
		return 0
	}
	switch strings.TrimPrefix(value, digits) {
	case "K":
		n <<= 10
	case "M":
		n <<= 20
	case "G":
		n <<= 30
	}
	return n
}
