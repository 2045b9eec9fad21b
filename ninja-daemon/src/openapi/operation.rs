//! One route in words and shapes. Knows how OpenAPI writes them; what is said of which route is in `operations`.

use serde_json::Value;
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        Content, HeaderBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Schema,
        link::Link,
        path::{Parameter, ParameterBuilder, ParameterIn},
        request_body::{RequestBody, RequestBodyBuilder},
        schema::{ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type},
    },
};

/// What a route is for, takes and answers.
pub(super) struct Operation {
    /// The name of its handler, and of the engine's verb.
    pub(super) verb: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: Option<&'static str>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<RequestBody>,
    pub(super) responses: Vec<(u16, Response)>,
    /// What the shapes of body and answers are made of, by name.
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
}

/// A field of a multipart form with one file in it, or with several.
#[derive(Clone, Copy)]
pub(super) enum FormFiles {
    One,
    Several,
}

impl Operation {
    pub(super) fn new(verb: &'static str, tag: &'static str, summary: &'static str) -> Self {
        let (parameters, responses, schemas) = (Vec::new(), Vec::new(), Vec::new());
        Self { verb, tag, summary, description: None, parameters, body: None, responses, schemas }
    }

    /// Says more than fits a line.
    pub(super) fn more(self, description: &'static str) -> Self {
        Self { description: Some(description), ..self }
    }

    /// Says what its query may hold.
    pub(super) fn query<T: IntoParams>(mut self) -> Self {
        self.parameters.extend(T::into_params(|| Some(ParameterIn::Query)));
        self
    }

    /// Says of what else its parameters are made.
    pub(super) fn made_of<T: ToSchema + PartialSchema>(mut self) -> Self {
        self.shape::<T>();
        self
    }

    /// Says that it takes a JSON body.
    pub(super) fn takes<T: ToSchema + PartialSchema>(mut self) -> Self {
        let content = Content::new(Some(self.shape::<T>()));
        let body = RequestBodyBuilder::new().required(Some(Required::True)).content("application/json", content);
        Self { body: Some(body.build()), ..self }
    }

    /// Says that it takes a multipart form.
    pub(super) fn takes_form(self, files: FormFiles) -> Self {
        let file =
            ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
        let form = match files {
            FormFiles::One => ObjectBuilder::new().property("file", file).required("file"),
            FormFiles::Several => ObjectBuilder::new()
                .property("files", ArrayBuilder::new().items(file).min_items(Some(1)))
                .required("files"),
        };
        let content = Content::new(Some(form));
        let body = RequestBodyBuilder::new().required(Some(Required::True)).content("multipart/form-data", content);
        Self { body: Some(body.build()), ..self }
    }

    /// Says that it takes a key that makes a repetition harmless.
    pub(super) fn once(self) -> Self {
        let says = "1 to 255 visible ASCII characters. The same request with the same key makes nothing a second time within \
                    24 hours; its answer bears `Idempotency-Replayed: true`.";
        self.header("Idempotency-Key", KEY, says)
    }

    /// Says that it can be told for which version alone it is meant.
    pub(super) fn at_version(self) -> Self {
        self.header(
            "If-Match",
            TAGS,
            "The `ETag` for which alone this is to be done; refused with 412 at another version.",
        )
        .refuses(412, "It has changed since the version that `If-Match` names.")
    }

    /// Says that a client can name what it has.
    pub(super) fn unless_known(mut self) -> Self {
        let unchanged = ResponseBuilder::new().description("It is what the client has.").build();
        self.responses.push((304, unchanged));
        self.header("If-None-Match", TAGS, "The `ETag` that the client has.")
    }

    /// Says that a part can be asked for.
    pub(super) fn in_ranges(mut self) -> Self {
        let part = ResponseBuilder::new().description("The part that was asked for.").content(ANY, bytes()).build();
        self.responses.push((206, part));
        self.refuses(416, "The part that was asked for is not there.").header(
            "Range",
            RANGE,
            "The part that is wanted, in bytes.",
        )
    }

    fn header(mut self, name: &str, pattern: &str, says: &str) -> Self {
        let header = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(says))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern))));
        self.parameters.push(header.build());
        self
    }

    /// Says what it answers, as JSON.
    pub(super) fn answers<T: ToSchema + PartialSchema>(mut self, status: u16, says: &str) -> Self {
        let content = Content::new(Some(self.shape::<T>()));
        let response = ResponseBuilder::new().description(says).content("application/json", content);
        self.responses.push((status, response.build()));
        self
    }

    /// Says that it answers a page of a list.
    pub(super) fn answers_page<T: ToSchema + PartialSchema>(self) -> Self {
        self.answers_page_with::<T>(&[200])
    }

    /// Says that it answers a page of a list with one of several statuses.
    pub(super) fn answers_page_with<T: ToSchema + PartialSchema>(mut self, statuses: &[u16]) -> Self {
        let item = self.shape::<T>();
        let cursor = ObjectBuilder::new().schema_type(Type::String);
        let page = ObjectBuilder::new()
            .property("items", ArrayBuilder::new().items(item))
            .required("items")
            .property("next_cursor", cursor.description(Some("Give it back as `cursor`; absent on the last page.")));
        let name = format!("{}Page", T::name());
        self.schemas.push((name.clone(), page.into()));
        for status in statuses {
            let content = Content::new(Some(Ref::from_schema_name(&name)));
            let response = ResponseBuilder::new().description("A page.").content("application/json", content);
            self.responses.push((*status, response.build()));
        }
        self
    }

    /// Says that it answers with no body.
    pub(super) fn answers_nothing(mut self, says: &str) -> Self {
        self.responses.push((204, ResponseBuilder::new().description(says).build()));
        self
    }

    /// Says that it answers with a stream of which no whole can be described.
    pub(super) fn streams(mut self, media_type: &str, says: &str) -> Self {
        let response = ResponseBuilder::new().description(says).content(media_type, Content::default());
        self.responses.push((200, response.build()));
        self
    }

    /// Says that it answers something of a type that is not JSON.
    pub(super) fn answers_as(mut self, status: u16, media_type: &str, says: &str) -> Self {
        let response = ResponseBuilder::new().description(says).content(media_type, bytes());
        self.responses.push((status, response.build()));
        self
    }

    /// Says that the newest answer may be of another type.
    pub(super) fn or_as(mut self, media_type: &str) -> Self {
        if let Some((_, response)) = self.responses.last_mut() {
            response.content.insert(media_type.to_owned(), bytes().into());
        }
        self
    }

    /// Says that it switches to another protocol.
    pub(super) fn switches(mut self, says: &str) -> Self {
        self.responses.push((101, ResponseBuilder::new().description(says).build()));
        self
    }

    fn refuses(mut self, status: u16, says: &str) -> Self {
        self.responses.push((status, super::problem(says).build()));
        self
    }

    /// Says that the newest answer bears the version of what it shows.
    pub(super) fn versioned(self) -> Self {
        self.bears("ETag", "The version of what is shown.")
    }

    /// Says that the newest answer bears where the new thing is.
    pub(super) fn located(self) -> Self {
        self.bears("Location", "Where it is.")
    }

    fn bears(mut self, name: &str, says: &str) -> Self {
        if let Some((_, response)) = self.responses.last_mut() {
            let text = ObjectBuilder::new().schema_type(Type::String);
            let header = HeaderBuilder::new().schema(Some(text)).description(Some(says)).build();
            response.headers.insert(name.to_owned(), header.into());
        }
        self
    }

    /// Says what of the newest answer goes where: a parameter of other routes.
    pub(super) fn leads_to(mut self, parameter: &str, expression: &str, verbs: &[&'static str]) -> Self {
        if let Some((_, response)) = self.responses.last_mut() {
            for verb in verbs {
                let link = Link::builder().operation_id(*verb).parameter(parameter, Value::from(expression));
                response.links.insert((*verb).to_owned(), link.build().into());
            }
        }
        self
    }

    fn shape<T: ToSchema + PartialSchema>(&mut self) -> RefOr<Schema> {
        T::schemas(&mut self.schemas);
        // What has a name has its type parameters in it.
        let name = T::name().into_owned();
        self.schemas.push((name.clone(), T::schema()));
        Ref::from_schema_name(name).into()
    }
}

const ANY: &str = "*/*";
/// A bare key, or one in quotes.
const KEY: &str = "^([!#-+\\--\\[\\]-~]{1,255}|\"[!#-\\[\\]-~]{1,255}\")$";
/// One version. `*` and lists are taken as well.
const TAGS: &str = "^(\"[0-9]{1,15}\"|[0-9]{1,15})$";
/// One range of bytes. Other units and several ranges are answered with the whole.
const RANGE: &str = "^bytes=([0-9]{1,15}-[0-9]{0,15}|-[0-9]{1,15})$";

fn bytes() -> Content {
    Content::new(Some(ObjectBuilder::new().schema_type(Type::String)))
}
