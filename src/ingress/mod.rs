//! The door for channels: one request's way through the gateway, top to bottom.

mod backend_head;
mod delivery;
mod door;
mod notes;
mod proof;
mod redelivery;
mod remembered;
mod renewed;
mod repeat;
mod together;
mod watched;
mod work;

use crate::config::{Bot, Settings};
use crate::judge::{
    self, Activity, Admitted, Callback, Place, Presented, Reason, Rejection, Routes, Welcome,
};
use crate::keyring::Keyring;
use crate::limit::{Limiter, Slot};
use crate::net::RequestBody;
use crate::net::body::{self, ReadError};
use crate::net::ending::Ending;
use crate::net::headers;
use crate::net::reply::{self, Audience};
use crate::net::seldom::Seldom;
use crate::net::{Body, Peer, clock};
use crate::observe::{self, Observer, RequestLine, Text, Verdict, Watch};
use crate::shared::Shared;
use crate::upstream::{Answer, Upstreams};
use bytes::Bytes;
use delivery::Delivery;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::BodyExt;
use notes::{note_activity, note_callback, note_token};
use redelivery::{Bounds, Claim, Marks};
use repeat::Answers;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;
use uuid::Uuid;
use watched::Watched;

/// The door for channels.
pub struct Ingress {
    settings: Arc<Settings>,
    routes: Routes,
    keyring: Arc<Keyring>,
    limiter: Arc<Limiter>,
    shared: Option<Arc<Shared>>,
    upstreams: Arc<Upstreams>,
    observer: Arc<Observer>,
    work: TaskTracker,
    /// By the position of the bot; nothing where repeats are not recognised.
    marks: Vec<Option<Arc<Marks>>>,
    ending: Ending,
    proxy_warnings: Seldom,
}

/// The rooms this door leads through.
pub struct Rooms {
    /// Keys of the issuers.
    pub keyring: Arc<Keyring>,
    /// Budgets.
    pub limiter: Arc<Limiter>,
    /// Where the gateways of a fleet count together.
    pub shared: Option<Arc<Shared>>,
    /// The bots.
    pub upstreams: Arc<Upstreams>,
    /// Who is told.
    pub observer: Arc<Observer>,
    /// Where work is kept that no client waits for, until it has ended.
    pub work: TaskTracker,
}

/// How a request ends without an answer of the bot.
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

/// What refusing a request needs to know of how far it came.
struct Progress {
    /// The refused activity is to be answered as if handled; whether it expects replies.
    swallow: Option<bool>,
    /// What a policy in report mode would have refused it for.
    would_reject: Option<Rejection>,
    /// The place at the bot, once it is taken: held until the answer has ended.
    slot: Option<Arc<Slot>>,
}

impl Ingress {
    /// A door that is not open yet: [`Listener`](crate::net::listener::Listener) opens it.
    pub fn new(settings: Arc<Settings>, rooms: Rooms, ending: Ending) -> Self {
        let routes = Routes::new(settings.bots.iter().map(|bot| &bot.route));
        let marks = |bot: &Arc<Bot>| {
            let window = bot.redelivery_window?;
            Some(Marks::new(window, Bounds::default()))
        };
        let marks = settings.bots.iter().map(marks).collect();
        let Rooms {
            keyring,
            limiter,
            shared,
            upstreams,
            observer,
            work,
        } = rooms;
        Self {
            settings,
            routes,
            keyring,
            limiter,
            shared,
            upstreams,
            observer,
            work,
            marks,
            ending,
            proxy_warnings: Seldom::default(),
        }
    }

    /// Forgets what was remembered long enough. To be called every few seconds.
    pub fn sweep(&self) {
        self.limiter.sweep();
        self.upstreams.sweep();
        self.marks.iter().flatten().for_each(|marks| marks.sweep());
    }

    /// The sentence. Cheap refusals first, headers before body, nobody unproven makes us buffer.
    async fn admit_and_forward(
        &self,
        head: &Parts,
        body: &mut RequestBody,
        peer: Peer,
        watch: &mut Watch,
        progress: &mut Progress,
    ) -> Result<Response<Answer>, End> {
        if self.ending.has_come() {
            return Err(Rejection::from(Reason::Draining)
                .retry_after(Duration::from_secs(1))
                .into());
        }
        let limits = &self.settings.server.limits;
        self.limiter.take_arrival(watch.line().client_ip)?;
        if let Some(flaw) = peer.refused {
            return Err(Rejection::from(flaw).into());
        }
        judge::check_size(head, limits.header_bytes, limits.headers)?;
        judge::check_fields(&head.headers)?;
        judge::check_http2(head)?;
        let (bot, place) = self.bot_of(head)?;
        watch.set_bot(&bot.name);
        if place == Place::Messages {
            watch.set_route(&bot.route.path);
        }
        // A repeat needs no place, and which one is a repeat is not known yet.
        if bot.redelivery_window.is_none() {
            self.limiter.check_room(bot)?;
        }
        match place {
            Place::Messages => judge::check_head(head)?,
            Place::Callback => judge::check_callback_head(head)?,
        }
        body::check_announced(body, limits.body_bytes)?;

        let now = clock::now();
        let token = self.keyring.read(Presented::in_headers(&head.headers)?)?;
        note_token(watch.line_mut(), token.claimed());
        let screened = bot.expect.screen(token, now)?;
        watch.line_mut().token_kind = Some(screened.kind());
        place.check_kind(screened.kind())?;
        let caller = self.prove(screened, watch).await?;
        self.note_clock(caller.claims(), now);
        let welcome = bot.policy.welcome(caller)?;

        let mut room = self.limiter.body_room();
        let grow = |bytes| room.grow(bytes);
        let taken = &mut watch.line_mut().bytes_in;
        let bytes = body::read(body, limits.body_bytes, limits.body_timeout, taken, grow).await?;
        let mut admitted = match place {
            Place::Messages => self.admit_activity(bot, welcome, bytes, watch, progress)?,
            Place::Callback => {
                let path = head.uri.path();
                let callback = Callback::parse(&head.method, path, bytes, limits.json)?;
                note_callback(watch.line_mut(), welcome.caller(), &callback);
                Box::new(bot.policy.admit_callback(welcome, callback)?)
            }
        };
        progress.would_reject = admitted.would_reject().cloned();
        let query = head.uri.query();
        let mut claim = match self.who_answers(bot, &admitted, query, watch).await {
            Answers::Gateway(answer) => return Ok((*answer)?),
            Answers::Bot(claim) => claim,
        };
        // Before the budgets: what is refused for want of a place costs its sender nothing.
        let slot = self.limiter.enter(bot, room).map(Arc::new);
        let slot = slot.inspect_err(|rejection| Claim::refuse(claim.take(), rejection))?;
        let counted = match &self.shared {
            None => self.limiter.take(bot, &mut admitted).map(|()| None),
            // Boxed, because not every gateway has others.
            Some(shared) => {
                let counting = self.count_together(shared, bot, &mut admitted, &mut claim, watch);
                Box::pin(counting).await
            }
        };
        let elsewhere = counted.inspect_err(|rejection| Claim::refuse(claim.take(), rejection))?;
        if let Some(answer) = elsewhere {
            return Ok(answer);
        }
        progress.slot = Some(Arc::clone(&slot));

        progress.would_reject = admitted.would_reject().cloned();
        let request_id = watch.line().request_id();
        let mut fields = self.fields_for(bot, head, peer, &admitted, request_id);
        let span = backend_head::name_sender(&mut fields, watch);
        let delivery = Delivery {
            bot,
            admitted,
            fields,
            query,
            claim,
            slot,
            span,
        };
        Ok(self.deliver(delivery, watch).await?)
    }

    fn admit_activity(
        &self,
        bot: &Bot,
        welcome: Welcome,
        bytes: Bytes,
        watch: &mut Watch,
        progress: &mut Progress,
    ) -> Result<Box<Admitted>, Rejection> {
        let activity = Activity::parse(bytes, self.settings.server.limits.json)?;
        note_activity(watch.line_mut(), welcome.caller(), &activity);
        let swallow = Some(activity.expects_replies()).filter(|_| !activity.is_invoke());
        let admitted = bot
            .policy
            .admit(welcome, activity)
            .inspect_err(|rejection| {
                self.note_refusal(rejection, watch.line());
                progress.swallow =
                    swallow.filter(|_| bot.policy.tenants.swallows(rejection.reason()));
            })?;
        // Boxed, because it is handed from one to the next, and each would keep room for all of it.
        Ok(Box::new(admitted))
    }

    fn bot_of(&self, head: &Parts) -> Result<(&Arc<Bot>, Place), Rejection> {
        let host = judge::host_of(head)?;
        let (position, place) = self.routes.find(&host, head.uri.path())?;
        self.settings
            .bots
            .get(position)
            .map(|bot| (bot, place))
            .ok_or_else(|| Reason::PathNotFound.into())
    }

    /// Everything around the sentence: the line, the verdict, the answer.
    async fn keep_books(
        self: Arc<Self>,
        request: Request<RequestBody>,
        peer: Peer,
    ) -> Response<Body> {
        let (head, mut body) = request.into_parts();
        let mut watch = self.observer.watch(self.line_of(&head, peer), None);
        watch.trace(&head.headers);
        let mut progress = Progress {
            swallow: None,
            would_reject: None,
            slot: None,
        };
        let outcome = {
            let forwarding =
                self.admit_and_forward(&head, &mut body, peer, &mut watch, &mut progress);
            self.ending.before_last_call(pin!(forwarding)).await
        };
        match outcome.unwrap_or_else(too_late) {
            Ok(mut response) => {
                let status = response.status().as_u16();
                watch.conclude(match progress.would_reject {
                    Some(rejection) => Verdict::WouldReject { status, rejection },
                    None => Verdict::Forwarded { status },
                });
                reply::name(&mut response, watch.line().request_id());
                response.map(|answer| Watched::new(answer, watch, progress.slot).boxed_unsync())
            }
            Err(End::ClientLeft) => {
                watch.conclude(Verdict::Abandoned);
                // Whoever closed only its sending half reads on, and must not take this for the bot's word.
                let mut response = Response::new(body::empty());
                *response.status_mut() = StatusCode::BAD_REQUEST;
                response
            }
            Err(End::Refused(rejection)) => {
                // The bot's part is over.
                progress.slot = None;
                if rejection.reason().status() == 401 {
                    self.limiter.count_failure(watch.line().client_ip);
                }
                let response = refuse(watch, &progress, rejection, &head);
                body::let_end(&mut body, &head).await;
                response
            }
        }
    }

    fn line_of(&self, head: &Parts, peer: Peer) -> RequestLine {
        let mut own = Uuid::encode_buffer();
        let request_id = match headers::request_id(&head.headers) {
            Some(request_id) => request_id,
            None => new_request_id(&mut own),
        };
        let client_ip = headers::client_ip(
            peer.address.ip(),
            &head.headers,
            &self.settings.server.trusted_proxies,
        );
        // What stands for a head that is refused has a method and a path, too, which nobody sent.
        let was_read = peer.refused.is_none();
        let mut line = RequestLine::new(request_id, observe::Door::Ingress, client_ip);
        line.note(Text::TraceId, headers::trace_id(&head.headers));
        line.note(Text::Method, was_read.then(|| head.method.as_str()));
        line.note(Text::Path, was_read.then(|| head.uri.path()));
        line.http_version = was_read.then_some(head.version);
        line.tls_version = peer.tls_version;
        line
    }
}

/// The drain deadline is near: a client that is told so knows that it may ask another gateway.
fn too_late<T>() -> Result<T, End> {
    Err(Rejection::from(Reason::Draining)
        .retry_after(Duration::from_secs(1))
        .noting("no answer before server.drain_timeout")
        .into())
}

/// For a request that brings none.
fn new_request_id(text: &mut [u8]) -> &str {
    Uuid::new_v4().simple().encode_lower(text)
}

/// Concludes a refused request and makes its answer.
fn refuse(
    mut watch: Watch,
    progress: &Progress,
    rejection: Rejection,
    head: &Parts,
) -> Response<Body> {
    let request_id = watch.line().request_id();
    let audience = if watch.is_proven() {
        Audience::Proven
    } else {
        let sent_token = head.headers.contains_key(AUTHORIZATION);
        Audience::Stranger { sent_token }
    };
    let mut response = match progress.swallow {
        Some(expects_replies) => reply::swallowed(expects_replies, request_id),
        None => reply::refusal(&rejection, audience, request_id, head.version),
    };
    if head.method == Method::HEAD && head.version == Version::HTTP_2 {
        // In HTTP/1 it is left out on its way. hyper sends it over HTTP/2, and clients reset such a stream.
        response = response.map(|_| body::empty());
    }
    if head.method != Method::HEAD {
        watch.add_bytes_out(response.body().size_hint().lower());
    }
    watch.conclude(Verdict::Rejected {
        status: response.status().as_u16(),
        rejection,
    });
    watch.finish();
    response
}
