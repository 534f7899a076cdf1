"""Policy as tables: which profile a client has, which rule decides about a name, and the answer that follows.

Holds always: a Policy never changes once made, so that swapping one reference swaps all of it; a name's decision is the
one that blocklist_sync.artifact.rules states in plain Python (a test compares the two).
"""

from libc.string cimport memcpy, memset

from blocklist_sync.artifact._snapshot cimport (
    RULE_EXCEPTION, RULE_EXCEPTION_BELOW, RULE_LAST, RULE_MANDATED, RULE_SUBTREE, Rule, Sip, find, lachan_prefetch, prefetch,
    sip_label, sip_start, sip_value)
from resolver._hot.cursor cimport LABELS_MAX
from resolver._hot.own cimport REACH_SUBTREE, own_find, reaches
from resolver._hot.wire cimport (
    EDE_BLOCKED, EDE_CENSORED, EDE_FILTERED, EDE_NONE, HEADER, NOERROR, NXDOMAIN, REFUSED, TYPE_A, TYPE_AAAA, write_address,
    write_error, write_opt, write_soa, write_start)

cdef uint8_t[16] NULL_ADDRESS
memset(NULL_ADDRESS, 0, 16)


cdef class Policy:
    """The tables.

    Args:
        epoch: Differs from that of every other Policy in this process.
        snapshot: The list in force, or None: then nothing is listed.
        profiles: Of each profile its name, the categories in force by its wish, and whether that wish is the operator's
            own (EDE 15) rather than a school's (EDE 17). At most PROFILES_MAX.
        actions: Category number to action number, for every profile.
        networks: First 16 bytes of an address (IPv4 mapped), prefix length of these 128 bits, profile index; the first
            that covers a client decides, so the longest come first. At most NETWORKS_MAX.
        sinkhole: IPv4 and IPv6 address of the block page, 4 and 16 bytes.
        shadow: Count, but let pass.
        refuse: Answer strangers with REFUSED instead of silence.
        key: 16 bytes that key the hash of names where there is no list.
        profile_actions: Of each profile, what it has other than `actions`; none: nothing.
        ever: Categories that some profile may ask for at another time: answers kept are judged for all times at once.
        names: The operator's own, as `OwnNames` takes them.
        shielded: Of each profile, whether its clients see no private address of a public name; none: nobody is.

    Raises:
        ValueError: A bound is exceeded.
    """

    def __cinit__(self, uint32_t epoch, Snapshot snapshot, list profiles, dict actions, list networks, tuple sinkhole,
                  bint shadow, bint refuse, bytes key, list profile_actions=[], list ever=[], list names=[],
                  list shielded=[]):
        cdef int i
        if not 1 <= len(profiles) <= PROFILES_MAX:
            raise ValueError(f"{len(profiles)} profiles; 1 to {PROFILES_MAX} are possible")
        if len(networks) > NETWORKS_MAX:
            raise ValueError(f"{len(networks)} networks; {NETWORKS_MAX} are the most")
        self.epoch = epoch
        self.snapshot = snapshot
        if snapshot is not None:
            self.rules = snapshot.view
            self.key0, self.key1 = self.rules.key0, self.rules.key1
        else:
            memset(&self.rules, 0, sizeof(Rules))
            self.key0 = int.from_bytes(key[:8], "little")
            self.key1 = int.from_bytes(key[8:16], "little")
        self.names = OwnNames(self.key0, self.key1, names)
        self.own = self.names.table
        self.own_mask = self.names.mask
        memset(self.tables, 0, sizeof(self.tables))
        for i in range(PROFILES_MAX + 1):
            memset(self.tables[i].actions, ACTION_NXDOMAIN, sizeof(self.tables[i].actions))
            self.act(i, actions)
        self.ask_for(EVERYBODY, "of any time", ever)
        for i, (name, categories, own) in enumerate(profiles):
            self.ask_for(i, name, categories)
            self.ask_for(EVERYBODY, name, categories)
            self.ede[i] = EDE_BLOCKED if own else EDE_FILTERED
        self.profile_count = len(profiles)
        self.profiles = tuple(name for name, _, _ in profiles)
        for i, wanted in enumerate(profile_actions):
            if i == self.profile_count:
                raise ValueError(f"actions of {len(profile_actions)} profiles, where there are {self.profile_count}")
            self.act(i, wanted)
        for i, wanted in enumerate(shielded[:PROFILES_MAX]):
            self.shielded[i] = bool(wanted)
            self.shields |= bool(wanted)
        for i, (address, length, profile) in enumerate(networks):
            if len(address) != 16 or not 0 <= length <= 128 or not 0 <= profile < len(profiles):
                raise ValueError(f"network {i}: 16 bytes, a length up to 128 and a profile's index are expected")
            mask = ((1 << length) - 1) << (128 - length)
            value = int.from_bytes(address, "big") & mask
            self.networks[i].high_mask = mask >> 64
            self.networks[i].low_mask = mask & 0xFFFFFFFFFFFFFFFF
            self.networks[i].high = value >> 64
            self.networks[i].low = value & 0xFFFFFFFFFFFFFFFF
            self.networks[i].profile = profile
        self.network_count = len(networks)
        v4, v6 = sinkhole
        if len(v4) != 4 or len(v6) != 16:
            raise ValueError("a sinkhole is an IPv4 address of 4 bytes and an IPv6 address of 16")
        memcpy(self.sinkhole4, <const uint8_t *>v4, 4)
        memcpy(self.sinkhole6, <const uint8_t *>v6, 16)
        self.shadow = shadow
        self.refuse = refuse

    cdef ask_for(self, int profile, str name, list categories):
        for category in categories:
            if not 1 <= category < 16:
                raise ValueError(f"profile {name}: there is no category {category}")
            self.tables[profile].in_force[category] = 1

    cdef act(self, int profile, dict actions):
        for category, action in actions.items():
            if not 1 <= category < 16 or not ACTION_NXDOMAIN <= action <= ACTION_REFUSED:
                raise ValueError(f"category {category}: there is no action {action}")
            self.tables[profile].actions[category] = action

    cdef int profile_of(self, uint64_t high, uint64_t low) noexcept nogil:
        """The client's profile, or -1 for a stranger."""
        cdef uint32_t i
        cdef const Network *network
        for i in range(self.network_count):
            network = &self.networks[i]
            if (high & network.high_mask) == network.high and (low & network.low_mask) == network.low:
                return network.profile
        return -1

    cdef uint64_t decide(self, const uint8_t *name, const uint8_t *label_at, uint32_t labels, uint32_t profile,
                         Decision *decision) noexcept nogil:
        """Which rule decides about a lowercased wire name, and the fingerprint of the whole name."""
        cdef uint64_t fingerprints[LABELS_MAX]
        self.trace(name, label_at, labels, fingerprints)
        self.judge(fingerprints, labels, profile, decision)
        return fingerprints[0]

    cdef void trace(self, const uint8_t *name, const uint8_t *label_at, uint32_t labels, uint64_t *fingerprints) noexcept nogil:
        """The fingerprints of a lowercased wire name (the first, always there) and of its suffixes of two labels and more.

        Has the buckets that a search will read on their way from memory: whoever has something else to do comes back later.
        """
        cdef uint32_t i = labels
        cdef Sip sip
        sip_start(&sip, self.key0, self.key1)
        while i:
            i -= 1
            sip_label(&sip, name + label_at[i], <uint32_t>name[label_at[i]] + 1)
            # A single label is a public suffix: never listed.
            if i + 1 < labels:
                fingerprints[i] = sip_value(&sip)
                if self.rules.bucket_count:
                    prefetch(&self.rules, fingerprints[i])
        if labels < 2:
            fingerprints[0] = sip_value(&sip)

    cdef uint64_t meet(self, const uint64_t *fingerprints, uint32_t labels) noexcept nogil:
        """The fingerprint of the shallowest suffix that has rules, which are fetched from memory for `judge`; 0: none has."""
        cdef uint32_t i = labels - 1 if labels else 0
        cdef const Rule *rule
        while i:
            i -= 1
            rule = find(&self.rules, fingerprints[i])
            if rule != NULL:
                lachan_prefetch(rule)
                return fingerprints[i]
        return 0

    cdef void judge(self, const uint64_t *fingerprints, uint32_t labels, uint32_t profile, Decision *decision) noexcept nogil:
        """Which rule decides about a name that was traced."""
        cdef Match matches[LABELS_MAX]      # of each owner that has rules, the first of them; shallowest first
        cdef uint32_t count = 0, i
        cdef Match match, best
        decision.action = ACTION_PASS
        if self.rules.bucket_count:
            i = labels - 1 if labels else 0
            while i:
                i -= 1
                match.rule = find(&self.rules, fingerprints[i])
                if match.rule != NULL:
                    match.fingerprint = fingerprints[i]
                    match.depth = <uint8_t>(labels - i)
                    matches[count] = match
                    count += 1
        if self.own_mask:
            self.decide_own(fingerprints, matches, count, labels, profile, decision)
        elif count and winner(matches, count, labels, self.tables[profile].in_force, 0, 0, &best):
            self.settle_for(&best, profile, decision)

    cdef void settle_for(self, const Match *best, uint32_t profile, Decision *decision) noexcept nogil:
        """What a rule of the list asks for."""
        decision.category = best.rule.category
        decision.order = best.rule.order
        decision.depth = best.depth
        decision.fingerprint = best.fingerprint
        decision.denies_all = best.rule.flags & (RULE_SUBTREE | RULE_EXCEPTION_BELOW) == RULE_SUBTREE
        decision.ede = EDE_CENSORED if best.rule.flags & RULE_MANDATED else self.ede[profile]
        decision.action = ACTION_SHADOW if self.shadow else self.tables[profile].actions[best.rule.category & 15]

    cdef void decide_own(self, const uint64_t *fingerprints, const Match *matches, uint32_t count, uint32_t labels,
                         uint32_t profile, Decision *decision) noexcept nogil:
        """As `decide`, where the operator has names of their own.

        What is let through lifts what stands on its own name and above: an override everything, the allowlist what is
        not mandated. Of what is left the list's mandated rules win, then the deepest, then the list.
        """
        cdef const uint8_t *wanted = self.tables[profile].in_force
        cdef uint8_t override = 0, allow = 0, block = 0, depth
        cdef uint32_t i = labels - 1 if labels else 0
        cdef const Own *own
        cdef const Own *blocked = NULL
        cdef Match best
        cdef bint listed
        while i:
            i -= 1
            own = own_find(self.own, self.own_mask, fingerprints[i])
            if own == NULL:
                continue
            depth = <uint8_t>(labels - i)
            if reaches(own.block, i == 0):
                block = depth
                blocked = own
            # For everybody at any time nothing is let through: it may be taken back while an answer is kept.
            if profile != EVERYBODY:
                if reaches(own.override, i == 0):
                    override = depth
                if reaches(own.allow, i == 0):
                    allow = depth
        listed = winner(matches, count, labels, wanted, override if override > allow else allow, override, &best)
        if listed and (best.rule.flags & RULE_MANDATED or best.depth >= block or block <= override or block <= allow):
            self.settle_for(&best, profile, decision)
            own = own_find(self.own, self.own_mask, best.fingerprint)
            if own != NULL and own.hole:
                decision.denies_all = False
        elif block > override and block > allow:
            decision.category = 0
            decision.order = 0
            decision.depth = block
            decision.fingerprint = blocked.fingerprint
            decision.denies_all = blocked.block == REACH_SUBTREE and not blocked.hole
            decision.ede = EDE_BLOCKED
            decision.action = blocked.action
        elif override and (block > allow or winner(matches, count, labels, wanted, allow, 0, &best)):
            decision.category = 0
            decision.action = ACTION_OVERRIDDEN
        elif allow and (block or winner(matches, count, labels, wanted, 0, 0, &best)):
            decision.category = 0
            decision.action = ACTION_ALLOWED

    cdef bint covers(self, const uint8_t *name, const uint8_t *label_at, uint32_t labels) noexcept nogil:
        """Whether anything blocks the name for anybody at any time: then every answer with it is judged anew.

        So what the cache knows of an answer holds whenever a schedule turns or an override comes or goes.
        """
        cdef Decision decision
        self.decide(name, label_at, labels, EVERYBODY, &decision)
        return decision.action != ACTION_PASS

    cdef bint rebound(self, const uint8_t *name, const uint8_t *label_at, uint32_t labels, uint32_t profile) noexcept nogil:
        """Whether a client of the profile must not see private addresses of the name."""
        cdef const Own *own
        cdef uint32_t i = labels
        cdef Sip sip
        if not self.shielded[profile]:
            return False
        if not self.own_mask:
            return True
        sip_start(&sip, self.key0, self.key1)
        while i:
            i -= 1
            sip_label(&sip, name + label_at[i], <uint32_t>name[label_at[i]] + 1)
            own = own_find(self.own, self.own_mask, sip_value(&sip))
            if own != NULL and reaches(own.private, i == 0):
                return False
        return True

    cdef uint32_t write(self, uint8_t *out, const Query *query, const Decision *decision) noexcept nogil:
        """The answer for a listed question name: needs question_end + 65 bytes."""
        cdef uint32_t at
        if decision.action == ACTION_REFUSED:
            return write_error(out, query, REFUSED, decision.ede)
        at = write_start(out, query, 0, NXDOMAIN if decision.action == ACTION_NXDOMAIN and decision.denies_all else NOERROR)
        return self.write_records(out, at, query, decision, HEADER, query.label_at, query.labels)

    cdef uint32_t write_records(self, uint8_t *out, uint32_t at, const Query *query, const Decision *decision,
                                uint32_t owner, const uint8_t *label_at, uint32_t labels) noexcept nogil:
        """Appends what a decision says of the name that stands at offset `owner`, and OPT; the new end."""
        cdef uint16_t rcode = NOERROR
        cdef const uint8_t *address = NULL
        if query.qtype == TYPE_A:
            address = NULL_ADDRESS if decision.action == ACTION_NULL_IP else self.sinkhole4 if decision.action == ACTION_SINKHOLE else NULL
        elif query.qtype == TYPE_AAAA:
            address = NULL_ADDRESS if decision.action == ACTION_NULL_IP else self.sinkhole6 if decision.action == ACTION_SINKHOLE else NULL
        if address != NULL:
            at = write_address(out, at, query.qtype, BLOCK_TTL, owner, address)
        elif decision.action == ACTION_NXDOMAIN and decision.denies_all:
            # The listed name itself owns the SOA: that is how far the denial reaches (RFC 8020).
            rcode = NXDOMAIN
            at = write_soa(out, at, owner + label_at[labels - decision.depth], BLOCK_TTL, <uint32_t>self.rules.serial)
        else:
            at = write_soa(out, at, owner, BLOCK_TTL, <uint32_t>self.rules.serial)
        return write_opt(out, at, query, rcode, decision.ede)


cdef inline bint winner(const Match *matches, uint32_t count, uint32_t labels, const uint8_t *wanted, uint8_t floor,
                        uint8_t floor_mandated, Match *best) noexcept nogil:
    """The rule that blocks, if any; down to `floor` labels nothing but what is mandated does, down to `floor_mandated` nothing."""
    cdef uint8_t lifted[16]             # of each category, the depth down to which it is excepted
    cdef uint8_t lifted_mandated[16]    # the same by mandated exceptions, which lift everything
    cdef uint32_t i
    cdef Match match
    # Two walks over however many rules there are: no crowd of them can push one out of sight.
    memset(lifted, floor, sizeof(lifted))
    memset(lifted_mandated, floor_mandated, sizeof(lifted_mandated))
    for i in range(count):
        match = matches[i]
        while True:
            if match.rule.flags & RULE_EXCEPTION and meets(&match, labels, wanted):
                if match.depth > lifted[match.rule.category & 15]:
                    lifted[match.rule.category & 15] = match.depth
                if match.rule.flags & RULE_MANDATED and match.depth > lifted_mandated[match.rule.category & 15]:
                    lifted_mandated[match.rule.category & 15] = match.depth
            if match.rule.flags & RULE_LAST:
                break
            match.rule += 1
    best.rule = NULL
    for i in range(count):
        match = matches[i]
        while True:
            if (not match.rule.flags & RULE_EXCEPTION and meets(&match, labels, wanted)
                    and match.depth > lifted_mandated[match.rule.category & 15]
                    and (match.rule.flags & RULE_MANDATED or match.depth > lifted[match.rule.category & 15])
                    and (best.rule == NULL or stronger(&match, best))):
                best[0] = match
            if match.rule.flags & RULE_LAST:
                break
            match.rule += 1
    return best.rule != NULL


cdef inline bint meets(const Match *match, uint32_t labels, const uint8_t *wanted) noexcept nogil:
    """Whether a rule reaches the name and is in force."""
    return (match.rule.flags & RULE_SUBTREE or match.depth == labels) and (
        match.rule.flags & RULE_MANDATED or wanted[match.rule.category & 15])


cdef inline bint stronger(const Match *a, const Match *b) noexcept nogil:
    """Mandated, then the deepest, then an exact rule, then the lowest category, then the lowest order."""
    if (a.rule.flags ^ b.rule.flags) & RULE_MANDATED:
        return a.rule.flags & RULE_MANDATED
    if a.depth != b.depth:
        return a.depth > b.depth
    if (a.rule.flags ^ b.rule.flags) & RULE_SUBTREE:
        return not a.rule.flags & RULE_SUBTREE
    if a.rule.category != b.rule.category:
        return a.rule.category < b.rule.category
    return a.rule.order < b.rule.order
