//! The pages of the console as templates, in English, on the clock of the house. A file of the
//! same name in `templates/console` takes the place of the built-in one at the next start.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};

use crate::app::content::{BUILT_IN_TEMPLATES, ContentError};
use crate::config::Settings;
use crate::render::locale::{Languages, SETTING, Setting, add_filters};

/// Steps one page may take.
const FUEL: u64 = 20_000_000;

/// The pages, ready to be filled.
#[derive(Debug, Clone)]
pub struct Pages {
    environment: Arc<Environment<'static>>,
    /// The stylesheet.
    pub style: Arc<str>,
    /// The zone times are shown in.
    pub zone: TimeZone,
    sender: String,
}

impl Pages {
    /// Reads and checks the files.
    ///
    /// # Errors
    /// Which file cannot be read or is no template.
    pub fn load(settings: &Settings, zone: TimeZone) -> Result<Self, ContentError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_fuel(Some(FUEL));
        add_filters(&mut environment);
        let mut style = String::new();
        let folder = BUILT_IN_TEMPLATES.get_dir("console").expect("shipped");
        for file in folder.files() {
            let name = file.path().file_name().and_then(|name| name.to_str()).expect("UTF-8");
            let path = settings.templates.dir.join("console").join(name);
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    file.contents_utf8().expect("shipped files are UTF-8").to_owned()
                }
                Err(error) => return Err(ContentError(format!("{}: {error}", path.display()))),
            };
            if name == "style.css" {
                style = text;
            } else {
                let name = name.to_owned();
                environment
                    .add_template_owned(name.clone(), text)
                    .map_err(|why| ContentError(format!("templates/console/{name}: {why}")))?;
            }
        }
        let sender = settings.sender.name.clone();
        Ok(Self { environment: Arc::new(environment), style: style.into(), zone, sender })
    }

    /// Fills a page.
    ///
    /// # Errors
    /// What a changed template uses that is not there.
    pub fn render(&self, name: &str, values: Value) -> Result<String, String> {
        let setting =
            Setting { language: Languages::default().get("en-GB"), zone: self.zone.clone() };
        let setting = BTreeMap::from([(SETTING, Value::from_object(setting))]);
        let frame = context! { sender => self.sender.as_str(), zone => self.zone.iana_name() };
        // What a page need not say.
        let bare = context! { said => Vec::<Value>::new(), operator => (), page => "", signed_in => false };
        let page = self.environment.get_template(name);
        page.and_then(|page| {
            page.render(context! { ..values, ..frame, ..Value::from(setting), ..bare })
        })
        .map_err(|error| format!("templates/console/{name}: {error:#}"))
    }
}
