package schema

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ValkeyInstance is a Valkey server of its own on a shard of role valkey. Its host and port are the planner's.
type ValkeyInstance struct {
	Meta
	Shard       string // the tenant's where the resource names none
	MaxMemory   int64  // bytes, of its keys and values
	Policy      EvictionPolicy
	Persistence Persistence
	Adopt       bool // data that is there already is taken over
}

// EvictionPolicy is what becomes of keys when an instance's memory is full: the name is Valkey's (maxmemory-policy).
type EvictionPolicy string

// DefaultPolicy is that of a ValkeyInstance that names none: writes are refused, and no key is lost.
const DefaultPolicy EvictionPolicy = "noeviction"

var evictionPolicies = []EvictionPolicy{
	DefaultPolicy, "allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
}

// Persistence is how much of an instance's data outlives its process.
type Persistence string

// The ways. A ValkeyInstance that names none has PersistRDB.
const (
	PersistNone Persistence = "none" // a cache: what was in it is gone
	PersistRDB  Persistence = "rdb"  // a snapshot every few minutes, and when it is stopped
	PersistAOF  Persistence = "aof"  // each write, synced once a second
)

// MinValkeyMemory is the least that an instance may have, in bytes: an empty one takes one or two MiB.
const MinValkeyMemory = 8 << 20

// CheckValkeyInstance accepts what an instance may be made with.
func CheckValkeyInstance(maxMemory int64, policy EvictionPolicy, p Persistence) error {
	var errs []error
	if maxMemory < MinValkeyMemory {
		errs = append(errs, fmt.Errorf("%d bytes are less than the %d MiB that an instance needs", maxMemory, MinValkeyMemory>>20))
	}
	if !slices.Contains(evictionPolicies, policy) {
		errs = append(errs, fmt.Errorf("%q is no policy of eviction", shorten(string(policy))))
	}
	if p != PersistNone && p != PersistRDB && p != PersistAOF {
		errs = append(errs, fmt.Errorf("%q is no way of persistence", shorten(string(p))))
	}
	return errors.Join(errs...)
}

// ValkeyUser is who may log in to an instance of its tenant, under its own name.
type ValkeyUser struct {
	Meta
	Instance     string
	Keys         []string // patterns of keys; AllKeys for all
	Channels     []string // patterns of channels; empty for none
	Commands     []string // "+get", "-@set"; empty for all that no tenant is refused
	PasswordHash string   // SHA-256 of the password, lower-case hex; "": Password is set
	Password     *Secret  // nil: PasswordHash is set
	Adopt        bool     // one that is there already is taken over; of a short form it is the ValkeyInstance's
}

// AllKeys is the pattern of all keys.
const AllKeys = "*"

// SeesAllKeys reports whether a user with these patterns has all keys of its instance.
func SeesAllKeys(keys []string) bool { return slices.Contains(keys, AllKeys) }

var keyPattern = regexp.MustCompile(`^[A-Za-z0-9_.:/{}@*?-]{1,128}$`)

// CheckKeyPattern accepts a pattern of keys or channels: letters and digits, _ . : / { } @ -, * for anything and ? for one
// character.
func CheckKeyPattern(s string) error {
	if !keyPattern.MatchString(s) {
		return fmt.Errorf("%q isn't a pattern of keys; use 1 to 128 of letters, digits, _ . : / { } @ -, * and ?, such as \"cart:*\"", shorten(s))
	}
	return nil
}

// CheckPatterns refuses patterns beside one that stands for all.
func CheckPatterns(patterns []string) error {
	if SeesAllKeys(patterns) && len(patterns) > 1 {
		return fmt.Errorf("%q stands for all the others; keep it alone, or take it out", AllKeys)
	}
	return nil
}

// commandRule is what a rule of a ValkeyUser's commands looks like, as a person writes it.
var commandRule = regexp.MustCompile(`^[+-](@?[a-z_]+)$`)

// CheckCommandRule accepts a rule of what a ValkeyUser may do: + or - and a command, or a category with @.
func CheckCommandRule(s string) error {
	m := commandRule.FindStringSubmatch(s)
	switch {
	case m == nil:
		return fmt.Errorf("%q isn't a rule for commands; write + or - and a command or a @category, such as \"+@read\" or \"-del\"", shorten(s))
	case ruleCategories[m[1]] || ruleCommands[m[1]]:
		return nil
	case m[1] == "@all":
		return fmt.Errorf("%q isn't needed; leave commands out to allow all that tenants may do", s)
	}
	return fmt.Errorf("%q names no command that tenants may be given; there are the categories %s, and commands such as get", shorten(s), strings.Join(sortedKeys(ruleCategories), " "))
}

// CheckAllKeys refuses a rule by which a user with these patterns of keys would reach keys that aren't its own.
func CheckAllKeys(rules, keys []string) error {
	for _, r := range rules {
		if name, allows := strings.CutPrefix(r, "+"); allows && allKeysCommands[name] && !SeesAllKeys(keys) {
			return fmt.Errorf("%q works on all keys, and this user has only %s; take it out, or give it the keys %q", r, strings.Join(keys, " "), AllKeys)
		}
	}
	return nil
}

// ruleCategories are the categories that a rule may name (ACL CAT of Valkey 8.1, less admin, dangerous and those that say
// nothing of what a command does). Of scripting only scripts that come with the call are meant.
var ruleCategories = wordSet(`@keyspace @read @write @set @sortedset @list @hash @string @bitmap @hyperloglog @geo @stream @pubsub
	@blocking @connection @transaction @scripting`)

// ruleCommands are the commands that a rule may name (COMMAND LIST of Valkey 8.1).
var ruleCommands = wordSet(`
	append bitcount bitfield bitfield_ro bitop bitpos blmove blmpop blpop brpop brpoplpush bzmpop bzpopmax bzpopmin copy
	dbsize decr decrby del discard dump exec exists expire expireat expiretime flushall flushdb geoadd geodist geohash
	geopos georadius georadius_ro georadiusbymember georadiusbymember_ro geosearch geosearchstore get getbit getdel getex
	getrange getset hdel hexists hget hgetall hincrby hincrbyfloat hkeys hlen hmget hmset hrandfield hscan hset hsetnx
	hstrlen hvals incr incrby incrbyfloat info keys lcs lindex linsert llen lmove lmpop lpop lpos lpush lpushx lrange
	lrem lset ltrim mget move mset msetnx multi object persist pexpire pexpireat pexpiretime pfadd pfcount pfmerge psetex
	psubscribe pttl publish pubsub punsubscribe randomkey rename renamenx rpop rpoplpush rpush rpushx sadd scan scard
	sdiff sdiffstore set setbit setex setnx setrange sinter sintercard sinterstore sismember smembers smismember smove
	sort sort_ro spop spublish srandmember srem sscan ssubscribe strlen subscribe substr sunion sunionstore sunsubscribe
	touch ttl type unlink unsubscribe unwatch watch xack xadd xautoclaim xclaim xdel xgroup xinfo xlen xpending xrange
	xread xreadgroup xrevrange xsetid xtrim zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard zinterstore
	zlexcount zmpop zmscore zpopmax zpopmin zrandmember zrange zrangebylex zrangebyscore zrangestore zrank zrem
	zremrangebylex zremrangebyrank zremrangebyscore zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore
	zunion zunionstore`)

// allKeysCommands are those that work on keys whatever a user's patterns are.
var allKeysCommands = wordSet(`keys scan randomkey dbsize flushdb flushall`)

// extraCommands are dangerous by Valkey's reckoning, for servers that many share, and not on an instance of one's own.
var extraCommands = strings.Fields(`info sort sort_ro keys flushdb flushall`)

// scriptRules are what +@scripting means: scripts run with the rights of who calls them. Functions, which stay, and what
// stops or removes others' scripts aren't among them.
var scriptRules = strings.Fields(`+eval +eval_ro +evalsha +evalsha_ro +script|exists +script|load`)

// CommandRules returns the rules of a user's commands as Valkey holds them (https://valkey.io/topics/acl/), in the order in which
// they hold. What runs the server, and what reaches beyond the user's keys, is taken away last.
func CommandRules(rules, keys []string) []string {
	var out []string
	put := func(rule string) {
		out = slices.DeleteFunc(out, func(r string) bool { return r[1:] == rule[1:] })
		out = append(out, rule)
	}
	if put("-@all"); len(rules) == 0 {
		put("+@all")
	} else {
		put("+@connection") // what a client needs to begin with
	}
	for _, r := range rules {
		put(r)
	}
	for _, r := range []string{"-@admin", "-@dangerous", "-@scripting", "-acl"} {
		put(r)
	}
	for _, c := range extraCommands {
		if len(rules) == 0 || slices.Contains(rules, "+"+c) {
			put("+" + c)
		}
	}
	if slices.Contains(rules, "+@scripting") {
		for _, r := range scriptRules {
			put(r)
		}
	}
	if !SeesAllKeys(keys) {
		for _, c := range append(sortedKeys(allKeysCommands), "client|tracking") { // which tells of keys by prefix
			put("-" + c)
		}
	}
	return out
}

// ParseValkeyHash reads the SHA-256 of a password, in hex. The hash isn't quoted in the error.
func ParseValkeyHash(s string) (string, error) {
	bare := strings.ToLower(s)
	if b, err := hex.DecodeString(bare); err != nil || len(b) != 32 {
		return "", errors.New("isn't the SHA-256 of a password: 64 hex digits, as 'printf %s PASSWORD | sha256sum' prints them")
	}
	return bare, nil
}
