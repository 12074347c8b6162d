//! Plain HTTP to a server on this machine: the admin listener, a WebDriver.

use super::PATIENCE;
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Sends one request on a connection of its own and reads the answer whole. `Host` is the address where the request names none.
pub(crate) async fn ask(address: &str, request: Request<impl Into<Bytes>>) -> Response<Bytes> {
    let (mut head, body) = request.into_parts();
    head.headers
        .entry(header::HOST)
        .or_insert_with(|| address.parse().unwrap());
    let request = Request::from_parts(head, Full::new(body.into()));
    let answered = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        let connection = tokio::spawn(connection);
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        connection.abort();
        Response::from_parts(head, body)
    };
    let answer = tokio::time::timeout(PATIENCE, answered).await;
    answer.unwrap_or_else(|_| panic!("{address} does not answer"))
}

/// Status and text of a page.
pub(crate) async fn get(address: &str, path: &str) -> (u16, String) {
    let answer = ask(address, Request::get(path).body("").unwrap()).await;
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    (answer.status().as_u16(), text)
}
