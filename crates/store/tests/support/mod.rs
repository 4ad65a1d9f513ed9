//! The server that tests share, and an empty schema for each.

pub(crate) mod postgres;

pub(crate) use postgres::Server;
use store::Address;

impl Server {
    /// An address with an empty schema of the name.
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
