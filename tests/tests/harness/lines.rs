//! Waits and the proxy.

use std::time::Duration;

use lunas_tests::harness::{BOUND, Direction, Proxy, try_wait_for, wait_for};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn a_wait_says_what_it_saw_last() {
    let mut looks = 0;
    let seen = try_wait_for(Duration::from_millis(50), async || {
        looks += 1;
        Err::<(), _>(format!("look {looks}"))
    });
    assert!(seen.await.unwrap_err().starts_with("look "));
    assert!(looks > 1);
    let stuck = try_wait_for(Duration::from_millis(50), async || {
        std::future::pending::<Option<()>>().await
    });
    assert!(stuck.await.unwrap_err().contains("did not end"));
}

#[tokio::test]
async fn a_proxy_breaks_the_line_in_every_way() {
    let server = echo().await;
    let proxy = Proxy::to(&server).await;
    let mut line = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(ask(&mut line, b"one").await.unwrap(), b"one");
    assert_eq!((proxy.opened(), proxy.passed(Direction::ToClient)), (1, 3));

    proxy.stall();
    let stalled = tokio::time::timeout(Duration::from_millis(100), ask(&mut line, b"two"));
    assert!(stalled.await.is_err());
    proxy.restore();
    let mut answer = [0; 3];
    line.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"two");

    proxy.cut();
    assert!(ask(&mut line, b"x").await.is_err());

    let mut line = TcpStream::connect(proxy.addr()).await.unwrap();
    proxy.cut_after(Direction::ToServer, 2);
    assert!(ask(&mut line, b"three").await.is_err());
    assert_eq!(proxy.passed(Direction::ToServer), 3 + 3 + 2);
    let mut line = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(ask(&mut line, b"four").await.unwrap(), b"four");

    proxy.refuse();
    wait_for("connections to be refused", BOUND, async || {
        TcpStream::connect(proxy.addr()).await.is_err()
    })
    .await;
    proxy.restore();
    wait_for("connections to be taken again", BOUND, async || {
        TcpStream::connect(proxy.addr()).await.is_ok()
    })
    .await;
}

async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut line, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = line.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    addr
}

async fn ask(line: &mut TcpStream, words: &[u8]) -> std::io::Result<Vec<u8>> {
    line.write_all(words).await?;
    let mut answer = vec![0; words.len()];
    line.read_exact(&mut answer).await?;
    Ok(answer)
}
