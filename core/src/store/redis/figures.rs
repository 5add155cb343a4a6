//! A look beside a GET of the same value.

use super::tests::Server;
use super::*;
use crate::store::figures::{LENGTH, Series, any, compare, compare_many, fill, looks};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo};
use std::sync::Arc;
use tokio::net::UnixStream;

#[tokio::test]
async fn figures_of_a_server() {
    let server = Server::start().await;
    let redis = Arc::new(server.store());
    let store: Arc<dyn Store> = redis.clone();
    fill(&*store).await;

    let stream = UnixStream::connect(server.socket()).await.unwrap();
    let (login, config) = (RedisConnectionInfo::default(), AsyncConnectionConfig::new());
    let made = MultiplexedConnection::new_with_config(&login, stream, config).await;
    let (connection, driver) = made.unwrap();
    let driver = tokio::spawn(driver);
    let get: Series<'_> = Box::new(|questions| {
        let (mut connection, redis) = (connection.clone(), &redis);
        Box::pin(async move {
            for _ in 0..questions {
                let mut get = cmd("GET");
                get.arg(redis.key(b'v', &[&any().0]));
                let value: Vec<u8> = get.query_async(&mut connection).await.unwrap();
                assert_eq!(value.len(), LENGTH);
            }
        })
    });
    let mut cases = [("a GET", get), ("a look", looks(&*store))];
    compare("redis", &mut cases).await;
    drop(cases);
    driver.abort();

    compare_many("redis-many", &store).await;
}
