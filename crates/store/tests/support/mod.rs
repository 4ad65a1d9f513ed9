//! A shared server, and an empty schema for each test.

pub(crate) mod postgres;
#[allow(dead_code, reason = "the tests of the server use the rest")]
#[path = "../../../server/tests/support/programs.rs"]
pub(crate) mod programs;

pub(crate) use postgres::Server;
use store::Address;

impl Server {
    /// The address of a new empty schema of that name.
    pub(crate) async fn fresh(&self, schema: &str) -> Address {
        self.execute(format!("CREATE SCHEMA {schema}")).await;
        Address::parse(&format!("{}&options[search_path]={schema}", self.url())).unwrap()
    }

    async fn execute(&self, sql: String) {
        use sqlx::Connection;
        sqlx::any::install_default_drivers();
        let mut conn = sqlx::AnyConnection::connect(&self.url()).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
        conn.close().await.unwrap();
    }
}
