//! Connections that do not wait for ever.

use std::time::Duration;

use testkit::tls::{Authority, TlsPostgres};
use warehouse::WarehouseError;

#[tokio::test]
async fn a_query_of_a_bounded_pool_is_ended() {
    let database = testkit::empty_database().await;
    let pool = warehouse::pool::connect_bounded(&database.url, Duration::from_millis(50)).await.expect("a pool");
    let error = sqlx::query("select pg_sleep(60)").execute(&pool).await.expect_err("it takes too long");
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).map(String::from);
    assert_eq!(code.as_deref(), Some("57014"));
    sqlx::query("select 1").execute(&pool).await.expect("the connection goes on");
}

#[tokio::test]
async fn no_session_holds_its_locks_for_long_once_its_client_is_gone() {
    let database = testkit::empty_database().await;
    let pool = warehouse::pool::connect(&database.url).await.expect("a pool");
    for (setting, value) in [
        ("idle_in_transaction_session_timeout", "2min"),
        ("client_connection_check_interval", "5s"),
        ("tcp_keepalives_idle", "30"),
        ("tcp_keepalives_interval", "10"),
        ("tcp_keepalives_count", "3"),
        // Milliseconds.
        ("tcp_user_timeout", "60000"),
    ] {
        let sql = "select current_setting($1)";
        let found: String = sqlx::query_scalar(sql).bind(setting).fetch_one(&pool).await.expect(setting);
        assert_eq!(found, value, "{setting}");
    }
}

/// The URL says how: `sslmode` and `sslrootcert`, as for psql.
#[tokio::test]
async fn a_connection_is_encrypted_and_its_server_known_where_the_url_asks_for_it() {
    let authority = Authority::new();
    let server = TlsPostgres::start(&authority).await;
    let url = |mode: &str| format!("{}?sslmode={mode}", server.url);
    let root = |authority: &Authority| format!("&sslrootcert={}", authority.ca().display());

    for wanted in [url("require"), url("verify-full") + &root(&authority)] {
        let pool = warehouse::pool::connect(&wanted).await.expect(&wanted);
        let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        let encrypted: bool = sqlx::query_scalar(sql).fetch_one(&pool).await.expect("a row");
        assert!(encrypted, "{wanted}");
        pool.close().await;
    }
    for unknown in [url("verify-full"), url("verify-full") + &root(&Authority::new())] {
        let error = warehouse::pool::connect(&unknown).await.expect_err("an authority that nobody knows");
        let WarehouseError::Unreachable { source, .. } = &error else { panic!("{error:?}") };
        assert!(source.to_string().contains("certificate verify failed"), "{unknown}: {source}");
    }
    // A server without TLS is not talked to in the clear.
    let plain = testkit::empty_database().await.url + "?sslmode=require";
    let error = warehouse::pool::connect(&plain).await.expect_err("it has no TLS");
    let WarehouseError::Unreachable { source, .. } = &error else { panic!("{error:?}") };
    assert!(source.to_string().contains("TLS"), "{source}");
}
