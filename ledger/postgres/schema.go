package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/speciecash/specie/ledger"
)

//go:embed schema/1.sql
var schema1 string

// migrations: the i-th leads from version i to the next.
func migrations() []string { return []string{schema1} }

// schemaName is what the row of specie_schema is called: other kinds of store
// would have other names.
const schemaName = "ledger"

// migrate brings the database to the newest version, and returns the
// connection that it made.
func migrate(ctx context.Context, config *pgx.ConnConfig, steps []string, opts Options) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := migrateOn(ctx, conn, steps, opts); err != nil {
		return nil, errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	return conn, nil
}

func migrateOn(ctx context.Context, conn *pgx.Conn, steps []string, opts Options) error {
	for try := 0; ; try++ {
		err := migrateOnce(ctx, conn, steps, opts)
		var pg *pgconn.PgError
		// Another process made the same tables at the same time: look again.
		if try < maxTries && errors.As(err, &pg) && (pg.Code == "23505" || pg.Code == "42P07" || again(err)) {
			pause(ctx, try)
			continue
		}
		return err
	}
}

func migrateOnce(ctx context.Context, conn *pgx.Conn, steps []string, opts Options) error {
	version, err := schemaVersion(ctx, conn, len(steps))
	if err != nil || version == len(steps) {
		return err
	}
	return transact(ctx, conn, opts, func(t *tx) error {
		if version == 0 {
			if err := t.exec("CREATE TABLE specie_schema (name TEXT NOT NULL PRIMARY KEY, version BIGINT NOT NULL)"); err != nil {
				return err
			}
			if err := t.exec("INSERT INTO specie_schema (name, version) VALUES ($1, 0)", schemaName); err != nil {
				return err
			}
		}
		// Another process may have come first, or come now.
		if _, err := t.get([]any{&version}, "SELECT version FROM specie_schema WHERE name=$1 FOR UPDATE", schemaName); err != nil {
			return err
		}
		for ; version < len(steps); version++ {
			opts.Logger.InfoContext(ctx, "migrating database", "from", version, "to", version+1)
			if _, err := t.conn.PgConn().Exec(t.ctx, steps[version]).ReadAll(); err != nil {
				return err
			}
		}
		return t.exec("UPDATE specie_schema SET version=$1 WHERE name=$2", version, schemaName)
	})
}

// schemaVersion is 0 for an empty schema, and an error for one that is
// somebody else's or newer.
func schemaVersion(ctx context.Context, conn *pgx.Conn, newest int) (version int, err error) {
	var tables, ours int
	err = conn.QueryRow(ctx, `SELECT COUNT(*), COUNT(*) FILTER (WHERE table_name = 'specie_schema')
		FROM information_schema.tables WHERE table_schema = current_schema()`).Scan(&tables, &ours)
	switch {
	case err != nil:
		return 0, err
	case ours == 0 && tables > 0:
		return 0, fmt.Errorf("%w: the database is not empty and not a ledger", ledger.ErrSchema)
	case ours == 0:
		return 0, nil
	}
	err = conn.QueryRow(ctx, "SELECT version FROM specie_schema WHERE name=$1", schemaName).Scan(&version)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, fmt.Errorf("%w: not a %s", ledger.ErrSchema, schemaName)
	case err == nil && version > newest:
		return 0, fmt.Errorf("%w: version %d, this program knows %d", ledger.ErrSchema, version, newest)
	case err == nil && version < 1:
		return 0, fmt.Errorf("%w: version %d", ledger.ErrSchema, version)
	}
	return version, err
}
