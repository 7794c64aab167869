-- The firm's table of slices: how budget and limits are shared out among guards. Run once behind
-- cluster.sql, by whoever owns the database (`pretrade-guard cluster schema --slices`).
-- guard/CLUSTER_SLICES.md says the rules; these are they, as guard/cluster/slices.py has them, and
-- tests/guard/cluster/test_firm_table.py holds the two against each other.

-- What the firm has of something. What is in no slice is free; `target` is what it is to be.
CREATE TABLE pretrade_guard.firm_resources (
    resource text PRIMARY KEY,
    total bigint NOT NULL DEFAULT 0,
    free bigint NOT NULL DEFAULT 0,
    target bigint NOT NULL DEFAULT 0,
    is_short boolean NOT NULL DEFAULT false,
    CHECK (free >= 0 AND free <= total AND target >= 0)
);

-- What a log (a guard, and whoever continues it) was given of a resource.
CREATE TABLE pretrade_guard.firm_slices (
    log text NOT NULL,
    resource text NOT NULL REFERENCES pretrade_guard.firm_resources,
    granted_number bigint NOT NULL DEFAULT 0,
    granted numeric NOT NULL DEFAULT 0,
    grant_amount bigint NOT NULL DEFAULT 0,
    returned_number bigint NOT NULL DEFAULT 0,
    returned numeric NOT NULL DEFAULT 0,
    return_amount bigint NOT NULL DEFAULT 0,
    -- For who looks; and so that every answer has a commit to wait for.
    contact_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log, resource),
    CHECK (returned >= 0 AND returned <= granted)
);

-- Every movement, once: a second lock on the numbers, and for who asks later.
CREATE TABLE pretrade_guard.firm_moves (
    log text NOT NULL,
    resource text NOT NULL,
    direction text NOT NULL CHECK (direction IN ('grant', 'return')),
    number bigint NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (log, resource, direction, number)
);

-- A resource is to be so much: more at once, less as far as it is free.
CREATE FUNCTION pretrade_guard.firm_set_total(resource_asked text, target_asked bigint)
RETURNS void LANGUAGE sql SET search_path = pretrade_guard, pg_temp AS $$
    INSERT INTO firm_resources (resource, total, free, target)
    VALUES (resource_asked, target_asked, target_asked, target_asked)
    ON CONFLICT (resource) DO UPDATE SET
        target = target_asked,
        total = greatest(target_asked, firm_resources.total - firm_resources.free),
        free = greatest(target_asked, firm_resources.total - firm_resources.free)
            - (firm_resources.total - firm_resources.free);
$$;

-- A holder's message, answered. `direction_asked`: 'grant' (an Ask) or 'return' (a GiveBack).
-- `code` is empty where it is not refused; `amount` is the grant's. The two settings are those of
-- synchronous replication: the answer may leave when this commits, and only where they hold.
CREATE FUNCTION pretrade_guard.firm_answer(
    direction_asked text, log_asked text, epoch_asked bigint, resource_asked text,
    number_asked bigint, amount_asked bigint, commit_wanted text, standbys_wanted text[],
    OUT code text, OUT amount bigint, OUT wanted_back bigint, OUT last_number bigint
) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pretrade_guard, pg_temp AS $$
DECLARE
    slice firm_slices;
    whole firm_resources;
    epoch_now bigint;
    is_grant boolean := direction_asked = 'grant';
BEGIN
    code := '';
    amount := 0;
    wanted_back := 0;
    last_number := 0;
    IF current_setting('synchronous_commit') <> commit_wanted
        OR NOT current_setting('synchronous_standby_names') = ANY (standbys_wanted) THEN
        code := 'settings';
        RETURN;
    END IF;
    -- Not locked: an order's batch updates this row, and must not wait for a quorum's answer here.
    -- What an ended epoch could still say is in the log that the next one has read (rules 2 and 4).
    SELECT epoch INTO epoch_now FROM logs WHERE log = log_asked;
    IF epoch_now IS NULL OR epoch_now = 0 THEN
        code := 'unknown_holder';
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM firm_resources WHERE resource = resource_asked) THEN
        code := 'unknown_resource';
        RETURN;
    END IF;
    IF epoch_now <> epoch_asked THEN
        code := 'fenced';
        last_number := epoch_now;
        RETURN;
    END IF;
    INSERT INTO firm_slices (log, resource) VALUES (log_asked, resource_asked)
    ON CONFLICT DO NOTHING;
    UPDATE firm_slices SET contact_at = clock_timestamp()
    WHERE log = log_asked AND resource = resource_asked RETURNING * INTO slice;
    last_number := CASE WHEN is_grant THEN slice.granted_number ELSE slice.returned_number END;
    IF number_asked < last_number THEN
        code := 'holder_behind';
        RETURN;
    ELSIF number_asked > last_number + 1 OR number_asked < 1 THEN
        code := 'table_behind';
        RETURN;
    END IF;
    IF is_grant AND number_asked = last_number THEN
        amount := slice.grant_amount;
    ELSIF is_grant AND amount_asked > 0 THEN
        SELECT * INTO whole FROM firm_resources WHERE resource = resource_asked FOR NO KEY UPDATE;
        amount := CASE WHEN whole.total <= whole.target THEN least(amount_asked, whole.free) ELSE 0 END;
        IF amount > 0 THEN
            UPDATE firm_slices SET granted_number = number_asked, grant_amount = amount,
                granted = granted + amount
            WHERE log = log_asked AND resource = resource_asked RETURNING * INTO slice;
            INSERT INTO firm_moves VALUES (log_asked, resource_asked, 'grant', number_asked, amount);
        END IF;
        UPDATE firm_resources SET free = free - firm_answer.amount,
            is_short = firm_answer.amount < amount_asked
        WHERE resource = resource_asked;
    ELSIF NOT is_grant AND number_asked = last_number THEN
        IF amount_asked <> slice.return_amount THEN
            code := 'conflict';
            RETURN;
        END IF;
    ELSIF NOT is_grant THEN
        IF amount_asked < 1 OR amount_asked > slice.granted - slice.returned THEN
            code := 'conflict';
            RETURN;
        END IF;
        PERFORM FROM firm_resources WHERE resource = resource_asked FOR NO KEY UPDATE;
        UPDATE firm_slices SET returned_number = number_asked, return_amount = amount_asked,
            returned = returned + amount_asked
        WHERE log = log_asked AND resource = resource_asked RETURNING * INTO slice;
        INSERT INTO firm_moves
        VALUES (log_asked, resource_asked, 'return', number_asked, amount_asked);
        UPDATE firm_resources SET is_short = false,
            free = free + amount_asked
                - greatest(0, least(free + amount_asked, total - target)),
            total = total - greatest(0, least(free + amount_asked, total - target))
        WHERE resource = resource_asked;
    END IF;
    SELECT * INTO whole FROM firm_resources WHERE resource = resource_asked;
    IF whole.is_short OR whole.total > whole.target THEN
        wanted_back := greatest(0, slice.granted - slice.returned - least(whole.total, whole.target)
            / (SELECT count(*) FROM firm_slices WHERE resource = resource_asked));
    END IF;
END
$$;

-- A guard may ask, and do nothing else to these tables; totals are for whoever owns them.
REVOKE ALL ON FUNCTION pretrade_guard.firm_set_total FROM PUBLIC;
REVOKE ALL ON FUNCTION pretrade_guard.firm_answer FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pretrade_guard.firm_answer TO pretrade_guard;
GRANT SELECT ON pretrade_guard.firm_resources, pretrade_guard.firm_slices,
    pretrade_guard.firm_moves TO pretrade_guard, pretrade_guard_reader;
