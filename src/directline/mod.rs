//! The door for web pages: one gets a token of Direct Line here, and never the secret.

mod answer;
mod service;
mod sessions;

use crate::config::{DirectLine, PageIdentity, Settings};
use crate::judge::direct_line::{Jar, Session, SiteIdentity, UserId, header_user, new_token};
use crate::judge::{self, Presented, Reason, Rejection, Route, Routes, UnixSeconds};
use crate::keyring::Keyring;
use crate::limit::{BrokerLimits, Limiter};
use crate::net::RequestBody;
use crate::net::body::{self, ReadError};
use crate::net::client::ClientProblem;
use crate::net::ending::Ending;
use crate::net::headers::{self, is_trusted};
use crate::net::reply::{self, Audience};
use crate::net::{Body, Peer, clock};
use crate::observe::{self, Observer, RequestLine, Text, TokenGiven, Verdict, Watch};
use crate::secret::Secret;
use aws_lc_rs::rand;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Method, Response, StatusCode, Version};
use http_body::Body as _;
use service::{Given, Service};
use sessions::Generations;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Nobody has anything to say in a body; some libraries send `{}` all the same.
const MAX_BODY_BYTES: usize = 4 * 1024;

/// All brokers of a gateway.
pub struct Brokers {
    settings: Arc<Settings>,
    /// Two for each: where tokens are made, and where they are refreshed.
    routes: Routes,
    /// By the position of the broker.
    services: Vec<Service>,
    limits: BrokerLimits,
    sessions: Arc<Generations>,
    rooms: Rooms,
    ending: Ending,
}

/// The rooms this door leads through.
#[derive(Clone)]
pub struct Rooms {
    /// Keys of sites that sign their users in.
    pub keyring: Arc<Keyring>,
    /// The budget of an address for anything at all.
    pub limiter: Arc<Limiter>,
    /// Who is told.
    pub observer: Arc<Observer>,
}

/// Where at a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    broker: usize,
    is_refresh: bool,
}

/// How a request ends without a token.
enum End {
    Refused(Rejection),
    ClientLeft,
}

impl<T: Into<Rejection>> From<T> for End {
    fn from(refusal: T) -> Self {
        Self::Refused(refusal.into())
    }
}

impl From<ReadError> for End {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Rejected(rejection) => Self::Refused(rejection),
            ReadError::ClientLeft => Self::ClientLeft,
        }
    }
}

/// What answering needs to know of how far a request came.
struct Progress {
    audience: Audience,
    /// That of a trusted page, which may read the answer.
    origin: Option<String>,
}

impl Brokers {
    /// The brokers of these settings.
    ///
    /// # Errors
    /// When what a broker trusts, or the proxy, cannot be used.
    pub fn new(
        settings: &Arc<Settings>,
        rooms: Rooms,
        ending: Ending,
    ) -> Result<Self, ClientProblem> {
        let brokers = &settings.direct_lines;
        let services = brokers
            .iter()
            .map(|broker| Service::new(broker, &settings.keys));
        let routes: Vec<Route> = brokers
            .iter()
            .flat_map(|broker| {
                let refresh = Route {
                    path: broker.refresh_path(),
                    ..broker.route.clone()
                };
                [broker.route.clone(), refresh]
            })
            .collect();
        Ok(Self {
            routes: Routes::new(&routes),
            services: services.collect::<Result<_, _>>()?,
            limits: BrokerLimits::new(settings),
            sessions: Generations::new(),
            settings: Arc::clone(settings),
            rooms,
            ending,
        })
    }

    /// Those of other settings: budgets that are as before go on, and which cookies were exchanged stays known.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn renewed(&self, settings: &Arc<Settings>, rooms: Rooms) -> Result<Self, ClientProblem> {
        let fresh = Self::new(settings, rooms, self.ending.clone())?;
        Ok(Self {
            limits: self.limits.renewed(&self.settings, settings),
            sessions: Arc::clone(&self.sessions),
            ..fresh
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// The broker that a request is for, if it is for one. What cannot be read in one way only is for nobody here.
    pub fn find(&self, head: &Parts) -> Option<Place> {
        let host = judge::host_of(head).ok()?;
        let (position, _) = self.routes.find(&host, head.uri.path()).ok()?;
        Some(Place {
            broker: position.checked_div(2)?,
            is_refresh: !position.is_multiple_of(2),
        })
    }

    /// Forgets what was remembered long enough. To be called every few seconds.
    pub fn sweep(&self) {
        self.limits.sweep();
    }

    /// The sentence. Who may not ask learns so before anything is done for it, and a token is made last of all.
    async fn broker_token(
        &self,
        (broker, service, place): (&DirectLine, &Service, Place),
        (head, body): (&Parts, &mut RequestBody),
        peer: Peer,
        watch: &mut Watch,
        progress: &mut Progress,
    ) -> Result<Response<Body>, End> {
        if self.ending.has_come() {
            return Err(Rejection::from(Reason::Draining)
                .retry_after(Duration::from_secs(1))
                .into());
        }
        let limits = &self.settings.server.limits;
        self.rooms.limiter.take_arrival(watch.line().client_ip)?;
        judge::check_size(head, limits.header_bytes, limits.headers)?;
        judge::check_fields(&head.headers)?;
        judge::check_http2(head)?;
        watch.set_route(&broker.route.path);
        judge::check_page_head(head)?;
        broker.origins.of(&head.headers)?;
        if head.method == Method::OPTIONS {
            return Ok(answer::preflight());
        }
        self.limits
            .take_address(place.broker, watch.line().client_ip)?;
        body::check_announced(body, MAX_BODY_BYTES)?;
        let taken = &mut watch.line_mut().bytes_in;
        let _ignored =
            body::read(body, MAX_BODY_BYTES, limits.body_timeout, taken, |_| Ok(())).await?;

        let now = clock::now();
        if place.is_refresh {
            let token = new_token(Presented::in_headers(&head.headers)?.text())?;
            let jar = Jar::of(&head.headers, &broker.name)?;
            let (at, session) = jar.session_of(&broker.issuer, token)?;
            progress.audience = Audience::Proven;
            watch
                .line_mut()
                .note(Text::User, session.user.to_string().as_str());
            // The site's own token is not shown again, since its place is taken; a header is.
            if let PageIdentity::Header { .. } = &broker.identity
                && header_id(broker, head, peer)? != session.user
            {
                return Err(Rejection::from(Reason::TokenClaimsInvalid)
                    .noting("the session is that of another user than the one who is signed in now")
                    .into());
            }
            session.check_time(now, broker.max_session.map(|max| max.as_secs()))?;
            self.limits.take_session(place.broker, session.browser)?;
            let turn = self.sessions.claim(&session)?;
            let _place = service.place()?;
            let token = Secret::new(token.to_owned());
            let given = timed(watch, service.refresh(&token)).await?;
            turn.used();
            self.told(broker, TokenGiven::Renewed);
            let session = session.refreshed(given.token.expose(), (now, given.expires_in));
            return Ok(answer::token(broker, &given, (at, &session))?);
        }
        let user = self.user_of(broker, head, peer, now, watch).await?;
        if broker.identity != PageIdentity::Random {
            progress.audience = Audience::Proven;
        }
        watch.line_mut().note(Text::User, user.to_string().as_str());
        // A browser that was here before is counted as the one that it is.
        let chance = random()?;
        let jar = Jar::of(&head.headers, &broker.name).unwrap_or_default();
        let (browser, at) = jar.room(&broker.issuer, now, chance[0]);
        if let Some(browser) = browser {
            self.limits.take_session(place.broker, browser)?;
        }
        let _place = service.place()?;
        let given = timed(watch, service.generate(&user)).await?;
        self.told(broker, TokenGiven::New);
        let ids = (random()?, browser.unwrap_or(random()?));
        let lives = (now, given.expires_in);
        let session = Session::begun(ids, user, given.token.expose(), lives);
        Ok(answer::token(broker, &given, (at, &session))?)
    }

    fn told(&self, broker: &DirectLine, kind: TokenGiven) {
        let metrics = self.rooms.observer.metrics();
        metrics.gave_token(&broker.name, kind);
    }

    /// Whom a token is to be made for. No page has a say in that.
    async fn user_of(
        &self,
        broker: &DirectLine,
        head: &Parts,
        peer: Peer,
        now: UnixSeconds,
        watch: &mut Watch,
    ) -> Result<UserId, Rejection> {
        match &broker.identity {
            PageIdentity::Random => Ok(broker.issuer.id_of_stranger(random()?)),
            PageIdentity::Header { .. } => header_id(broker, head, peer),
            PageIdentity::Site(identity) => {
                let user = self.site_user(identity, head, now, watch).await?;
                Ok(broker.issuer.id_of(&user))
            }
        }
    }

    async fn site_user(
        &self,
        identity: &SiteIdentity,
        head: &Parts,
        now: UnixSeconds,
        watch: &mut Watch,
    ) -> Result<String, Rejection> {
        let token = identity.screen(Presented::in_headers(&head.headers)?, now)?;
        watch
            .line_mut()
            .note(Text::TokenIssuer, identity.issuer.as_str());
        watch.line_mut().note(Text::KeyId, token.key_id());
        let keyring = &self.rooms.keyring;
        let key = keyring.key_of(identity.keys, token.key_id()).await?;
        token.verify(&key)
    }

    /// Everything around the sentence: the line, the verdict, the answer.
    pub async fn answer(
        self: Arc<Self>,
        head: Parts,
        mut body: RequestBody,
        peer: Peer,
        place: Place,
    ) -> Response<Body> {
        let mut watch = self.rooms.observer.watch(self.line_of(&head, peer), None);
        watch.trace(&head.headers);
        let sent_token = head.headers.contains_key(AUTHORIZATION);
        let mut progress = Progress {
            audience: Audience::Stranger { sent_token },
            origin: None,
        };
        let broker = self.settings.direct_lines.get(place.broker);
        let outcome = match broker.zip(self.services.get(place.broker)) {
            None => Err(Reason::PathNotFound.into()),
            Some((broker, service)) => {
                // A trusted page may read whatever it is refused for, also before it is its turn.
                let origin = broker.origins.of(&head.headers).ok();
                watch.line_mut().note(Text::Broker, broker.name.as_str());
                progress.origin = origin.map(str::to_owned);
                self.broker_token(
                    (broker, service, place),
                    (&head, &mut body),
                    peer,
                    &mut watch,
                    &mut progress,
                )
                .await
            }
        };
        let mut response = match outcome {
            Ok(mut response) => {
                reply::name(&mut response, watch.line().request_id());
                let status = response.status().as_u16();
                watch.conclude(Verdict::Forwarded { status });
                response
            }
            Err(End::ClientLeft) => {
                watch.conclude(Verdict::Abandoned);
                let mut response = Response::new(body::empty());
                *response.status_mut() = StatusCode::BAD_REQUEST;
                response
            }
            Err(End::Refused(rejection)) => {
                if is_attempt(rejection.reason()) {
                    self.rooms.limiter.count_failure(watch.line().client_ip);
                }
                let request_id = watch.line().request_id();
                let mut response =
                    reply::refusal(&rejection, progress.audience, request_id, head.version);
                if head.method == Method::HEAD && head.version == Version::HTTP_2 {
                    // As at the ingress: HTTP/2 clients reset an answer to HEAD that has a body.
                    response = response.map(|_| body::empty());
                }
                let status = response.status().as_u16();
                watch.conclude(Verdict::Rejected { status, rejection });
                response
            }
        };
        if head.method != Method::HEAD {
            watch.add_bytes_out(response.body().size_hint().lower());
        }
        answer::open_to(&mut response, progress.origin.as_deref());
        watch.finish();
        body::let_end(&mut body, &head).await;
        response
    }

    fn line_of(&self, head: &Parts, peer: Peer) -> RequestLine {
        let mut own = Uuid::encode_buffer();
        let request_id = match headers::request_id(&head.headers) {
            Some(request_id) => request_id,
            None => Uuid::new_v4().simple().encode_lower(&mut own),
        };
        let trusted = &self.settings.server.trusted_proxies;
        let client_ip = headers::client_ip(peer.address.ip(), &head.headers, trusted);
        let mut line = RequestLine::new(request_id, observe::Door::DirectLine, client_ip);
        line.note(Text::TraceId, headers::trace_id(&head.headers));
        line.note(Text::Method, head.method.as_str());
        line.note(Text::Path, head.uri.path());
        line.http_version = Some(head.version);
        line.tls_version = peer.tls_version;
        line
    }
}

/// Asks Direct Line for a token by each secret of a broker, for nobody in particular, and says of each what became of it. No bot hears
/// of that.
///
/// # Errors
/// As [`Brokers::new`].
pub async fn try_out(
    broker: &Arc<DirectLine>,
    settings: &Settings,
) -> Result<Vec<Result<(), Rejection>>, ClientProblem> {
    let service = Service::new(broker, &settings.keys)?;
    let user = random().map(|random| broker.issuer.id_of_stranger(random));
    Ok(match user {
        Ok(user) => service.try_each(&user).await,
        Err(rejection) => vec![Err(rejection)],
    })
}

/// Asks Direct Line, and writes down how long that took and which conversation it is.
async fn timed(
    watch: &mut Watch,
    asked: impl Future<Output = Result<Given, Rejection>>,
) -> Result<Given, Rejection> {
    let begun = Instant::now();
    let given = asked.await;
    watch.line_mut().upstream = Some(begun.elapsed());
    if let Ok(given) = &given {
        watch
            .line_mut()
            .note(Text::Conversation, given.conversation.as_str());
    }
    given
}

/// The id of the user whom a server before the gateway names. Anybody else's header is nobody's word.
fn header_id(broker: &DirectLine, head: &Parts, peer: Peer) -> Result<UserId, Rejection> {
    let PageIdentity::Header { name, from } = &broker.identity else {
        return Err(Reason::TokenMissing.into());
    };
    if !is_trusted(peer.address.ip(), from) {
        return Err(Rejection::from(Reason::TokenMissing)
            .noting("the connection does not come from identity.header.from"));
    }
    Ok(broker.issuer.id_of(header_user(&head.headers, name)?))
}

/// Whether only somebody who guesses is refused so: a session that is over, or was taken over, is nobody's attempt.
const fn is_attempt(reason: Reason) -> bool {
    let is_innocent = matches!(
        reason,
        Reason::TokenExpired | Reason::TokenMissing | Reason::TokenClaimsInvalid
    );
    reason.status() == 401 && !is_innocent
}

fn random() -> Result<[u8; 16], Rejection> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| {
        Rejection::from(Reason::Overloaded).noting("the system gave no random numbers")
    })?;
    Ok(bytes)
}
