//! Mail: composed with its inline images, sent by SMTP or kept as `.eml`.

use std::{path::Path, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Attachment, Mailbox, MultiPart, SinglePart, header::ContentType},
    transport::smtp::{
        Error as SmtpError,
        client::{Certificate, Tls, TlsParameters},
        response::Category,
    },
};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use url::Url;
use warehouse::outbox::Payload;
use workflow::project::Smtp;

use super::{Claimed, DeliveryError, Undelivered, files::Folder, notice};

/// How long a mail server may take for each answer.
const TIMEOUT: Duration = Duration::from_secs(15);

const CERTIFICATE: &str = "; its certificate is not trusted, and no mail goes there: an authority of one's own is named by \
                           `smtp.ca` in sluice.yaml";

/// Sends mail, or files it.
pub(super) struct Postman {
    project: String,
    from: Mailbox,
    server: Option<Server>,
    folder: Folder,
}

struct Server {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    /// `smtps://host:port`, without user and password.
    at: String,
}

impl Postman {
    pub(super) fn new(project: String, smtp: Option<&Smtp>, folder: Folder) -> Result<Self, DeliveryError> {
        let from = smtp.map_or("Sluice <sluice@localhost>", |smtp| smtp.from.as_str());
        let from: Mailbox =
            from.parse().map_err(|e| DeliveryError::Smtp(format!("`from: {from}` is no address: {e}")))?;
        let server = smtp.map(Server::new).transpose()?;
        Ok(Self { project, from, server, folder })
    }

    pub(super) async fn send(&self, message: &Claimed, to: &[String]) -> Result<String, Undelivered> {
        let mail = self.compose(message, to)?;
        let Some(server) = &self.server else {
            return Ok(self.folder.put(message, "eml", &mail.formatted()).await?);
        };
        match server.transport.send(mail).await {
            Ok(_) => Ok(server.at.clone()),
            Err(error) if error.is_permanent() && !is_about_us(&error) => {
                Err(Undelivered::Never(format!("the mail server refused it: {}", chain(&error))))
            }
            Err(error) => {
                let said = chain(&error);
                let hint = if said.contains("certificate") { CERTIFICATE } else { "" };
                Err(Undelivered::later(format!("the mail server at {}: {said}{hint}", server.at)))
            }
        }
    }

    fn compose(&self, message: &Claimed, to: &[String]) -> Result<Message, Undelivered> {
        let never = |problem: String| Undelivered::Never(format!("the mail cannot be composed: {problem}"));
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(&message.subject)
            .date(message.created_at.into())
            .message_id(Some(message_id(&message.dedupe_key, self.from.email.domain())));
        if to.is_empty() {
            return Err(never(format!("channel `{}` has no address", message.channel)));
        }
        for address in to {
            builder = builder.to(address.parse().map_err(|e| never(format!("`{address}`: {e}")))?);
        }
        let (html, text, images) = match &message.payload.0 {
            Payload::Mail(mail) => (mail.html.clone(), mail.text.clone(), mail.images.as_slice()),
            Payload::Notice(notice) | Payload::Case(notice) => {
                (notice::html(&self.project, notice), notice::plain(notice), [].as_slice())
            }
        };
        let mut related = MultiPart::related().singlepart(SinglePart::html(html));
        for image in images {
            let bytes =
                BASE64_STANDARD.decode(&image.base64).map_err(|e| never(format!("image {}: {e}", image.cid)))?;
            let mime = ContentType::parse(&image.mime).map_err(|e| never(format!("image {}: {e}", image.cid)))?;
            related = related.singlepart(Attachment::new_inline(image.cid.clone()).body(bytes, mime));
        }
        let body = MultiPart::alternative().singlepart(SinglePart::plain(text)).multipart(related);
        builder.multipart(body).map_err(|e| never(e.to_string()))
    }
}

impl Server {
    fn new(smtp: &Smtp) -> Result<Self, DeliveryError> {
        let text = smtp.url.expose_secret();
        let url = Url::parse(text).map_err(|e| DeliveryError::Smtp(format!("`url` is no URL: {e}")))?;
        let host = url.host_str().unwrap_or_default();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let at = format!("{}://{host}{port}", url.scheme());
        let wrong = |problem: String| {
            DeliveryError::Smtp(format!("{problem}; write smtps://…, smtp://…?tls=required or, in the clear, smtp://…"))
        };
        let tls = url.query_pairs().find_map(|(key, value)| (key == "tls").then(|| value.into_owned()));
        if tls.as_deref() == Some("opportunistic") {
            // Whoever is in the way can take the server's offer of TLS out, and gets the password.
            return Err(wrong("`tls=opportunistic` sends in the clear where TLS is not offered".to_owned()));
        }
        let mut transport =
            AsyncSmtpTransport::<Tokio1Executor>::from_url(text).map_err(|error| wrong(chain(&error)))?;
        if let Some(file) = &smtp.ca {
            let parameters = || trusting(host, file).map_err(DeliveryError::Smtp);
            transport = match (url.scheme(), tls) {
                ("smtps", _) => transport.tls(Tls::Wrapper(parameters()?)),
                (_, Some(_)) => transport.tls(Tls::Required(parameters()?)),
                (_, None) => return Err(wrong("there is a `ca`, and `url` asks for no TLS".to_owned())),
            };
        }
        Ok(Self { transport: transport.timeout(Some(TIMEOUT)).build(), at })
    }
}

/// TLS with `host` under the system's authorities and those in `file`.
fn trusting(host: &str, file: &Path) -> Result<TlsParameters, String> {
    let name = file.display();
    let pem = std::fs::read_to_string(file).map_err(|error| format!("cannot read `ca: {name}`: {error}"))?;
    let mut parameters = TlsParameters::builder(host.to_owned());
    let mut found = false;
    for one in pem.split_inclusive("-----END CERTIFICATE-----").filter(|one| one.contains("BEGIN CERTIFICATE")) {
        let certificate = Certificate::from_pem(one.trim_start().as_bytes());
        let certificate = certificate.map_err(|error| format!("`ca: {name}`: {}", chain(&error)))?;
        parameters = parameters.add_root_certificate(certificate);
        found = true;
    }
    if !found {
        return Err(format!("`ca: {name}` holds no certificate"));
    }
    parameters.build().map_err(|error| chain(&error))
}

/// Whether the server refuses us, not the mail: a wrong or missing login (53x) can be put right.
fn is_about_us(error: &SmtpError) -> bool {
    error.status().is_some_and(|code| code.category == Category::Unspecified3)
}

/// The same for every attempt at one message.
fn message_id(dedupe_key: &str, domain: &str) -> String {
    let digest = Sha256::digest(dedupe_key.as_bytes());
    format!("<{}.sluice@{domain}>", workflow::hex::encode(&digest[..16]))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let line = cause.to_string();
        if !text.contains(&line) {
            text = format!("{text}: {line}");
        }
        next = cause.source();
    }
    text
}
