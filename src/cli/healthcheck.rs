//! `healthcheck`: asks the admin listener whether the gateway is ready; for containers.

use super::Exit;
use crate::net::client::Fetcher;
use http::Uri;
use std::io::{self, Write};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(3);

/// Exit 0 if `url` answers 200 within 3 s.
pub(super) fn run(url: &Uri) -> Exit {
    if !matches!(url.scheme_str(), Some("http" | "https")) {
        let _ = writeln!(
            io::stderr(),
            "botgate: --url {url} is no http address; write the whole of it, such as http://127.0.0.1:9090/readyz"
        );
        return Exit::Usage;
    }
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(io::stderr(), "botgate: {error}");
            return Exit::Internal;
        }
    };
    let outcome = runtime.block_on(async {
        let fetcher = Fetcher::new(None, WITHIN).map_err(|e| e.to_string())?;
        let page = fetcher.get(url, 64 * 1024).await;
        page.map_err(|why| why.to_string())
    });
    match outcome {
        Ok(_) => {
            let _ = writeln!(io::stdout(), "ready");
            Exit::Good
        }
        Err(why) => {
            let _ = writeln!(io::stderr(), "not ready: {url}: {why}");
            Exit::NotSo
        }
    }
}
