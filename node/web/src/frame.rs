//! What surrounds every page.

use vaquita_core::admin::Right;

use crate::assets;
use crate::tone::Tone;
use crate::words::{CHINESE, ENGLISH, Words};

/// The language of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// English.
    #[default]
    English,
    /// Chinese, in simplified characters.
    Chinese,
}

impl Lang {
    /// The language of a choice, as it stands in addresses and cookies.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "en" => Some(Self::English),
            "zh" => Some(Self::Chinese),
            _ => None,
        }
    }

    /// The language that a browser prefers, by its `Accept-Language` header.
    #[must_use]
    pub fn preferred(accept: &str) -> Self {
        // Quality values would matter to somebody who prefers a third language to both.
        let mut tags = accept.split(',').map(|tag| tag.trim().to_ascii_lowercase());
        let known = tags.find_map(|tag| match tag.get(..2) {
            Some("zh") => Some(Self::Chinese),
            Some("en") => Some(Self::English),
            _ => None,
        });
        known.unwrap_or_default()
    }

    /// Its name in addresses and cookies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    /// Its tag for the browser.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-Hans",
        }
    }

    /// Its texts.
    #[must_use]
    pub const fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::Chinese => &CHINESE,
        }
    }

    /// Whether this is the language of that name.
    #[must_use]
    pub fn is(self, name: &str) -> bool {
        self.name() == name
    }
}

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// As the reader's system has it.
    #[default]
    Auto,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// The theme of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Auto, Self::Light, Self::Dark]
            .into_iter()
            .find(|it| it.is(name))
    }

    /// Its name in addresses, cookies and the style sheet.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// Whether this is the theme of that name.
    #[must_use]
    pub fn is(self, name: &str) -> bool {
        self.word() == name
    }
}

/// When a page draws itself anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Live {
    /// Never.
    #[default]
    Never,
    /// When something about nodes or alarms has changed.
    Nodes,
    /// Then, and every few seconds, for figures.
    Ticks,
}

impl Live {
    /// The events that do it, as the script reads them.
    #[must_use]
    pub const fn events(self) -> &'static str {
        match self {
            Self::Never => "",
            Self::Nodes => "nodes",
            Self::Ticks => "nodes tick",
        }
    }
}

/// Who reads the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// The name.
    pub name: String,
    /// Whether the user administers the cluster.
    pub admin: bool,
    /// The rights given.
    pub rights: Vec<Right>,
}

impl Visitor {
    /// Whether this user has a right. Rights on files have to be given to administrators too.
    #[must_use]
    pub fn has(&self, right: Right) -> bool {
        let admin = self.admin.then_some(Right::Admin);
        let mut held = self.rights.iter().copied().chain(admin);
        held.any(|held| held.implies(right))
    }

    /// The word for what this user is.
    #[must_use]
    pub const fn role_word(&self, t: &Words) -> &'static str {
        if self.admin {
            t.role_admin
        } else {
            t.role_viewer
        }
    }
}

/// Something that a user is told once, on the next page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flash {
    /// How good it is.
    pub tone: Tone,
    /// One paragraph each.
    pub lines: Vec<String>,
}

/// An entry of the navigation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NavItem {
    /// Where it leads.
    pub href: &'static str,
    /// Its icon.
    pub icon: &'static str,
    /// Its word.
    pub word: &'static str,
    /// Whether this page is there.
    pub here: bool,
}

/// What surrounds a page.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The texts.
    pub t: &'static Words,
    /// The language.
    pub lang: Lang,
    /// Light or dark.
    pub theme: Theme,
    /// What this process is, for the title: `controller master`.
    pub cluster: String,
    /// Who reads it, if anybody has logged in.
    pub visitor: Option<Visitor>,
    /// What proves that a form came from this session's own page.
    pub csrf: String,
    /// The page's address, with its parameters.
    pub path: String,
    /// What is told once.
    pub flashes: Vec<Flash>,
    /// When it draws itself anew.
    pub live: Live,
    /// Whether it is a page of a process that is not the controller, which has no other.
    pub own: bool,
}

impl Frame {
    /// Whether the reader administers the cluster.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.visitor.as_ref().is_some_and(|visitor| visitor.admin)
    }

    /// Where the page finds a file.
    #[must_use]
    pub fn asset(&self, name: &str) -> String {
        assets::href(name)
    }

    /// The page's address without its parameters.
    #[must_use]
    pub fn path_only(&self) -> &str {
        self.path.split('?').next().unwrap_or("/")
    }

    /// The page's parameters as they stand in its address, for a form that adds one; those for language
    /// and theme left out.
    #[must_use]
    pub fn kept_parameters(&self) -> Vec<(String, String)> {
        let query = self.path.split_once('?').map_or("", |(_, query)| query);
        form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .filter(|(name, _)| name != "lang" && name != "theme")
            .collect()
    }

    /// Whether the page belongs to a section, by the first name of its address.
    #[must_use]
    pub fn is_here(&self, section: &str) -> bool {
        let first = self.path_only().trim_start_matches('/').split('/').next();
        match (section, first.unwrap_or_default()) {
            ("", "nodes") | ("repair", "chunks") | ("account", "password") => true,
            (section, first) => section == first,
        }
    }

    /// Where this user can go.
    #[must_use]
    pub fn navigation(&self) -> Vec<NavItem> {
        let Some(visitor) = &self.visitor else {
            return Vec::new();
        };
        let t = self.t;
        if self.own {
            return vec![NavItem {
                href: "/",
                icon: "overview",
                word: t.overview,
                here: true,
            }];
        }
        let data = visitor.has(Right::DfsRead);
        let upkeep = data || visitor.has(Right::Operate);
        let items = [
            ("/", "overview", t.overview, true),
            ("/files/", "files", t.files, data),
            ("/volumes", "volumes", t.volumes, upkeep),
            ("/repair", "repair", t.repair, upkeep),
            ("/config", "config", t.config, visitor.has(Right::LogRead)),
            ("/logs", "logs", t.logs, visitor.has(Right::LogRead)),
            ("/users", "users", t.users, visitor.has(Right::Admin)),
            ("/audit", "audit", t.audit, visitor.has(Right::Admin)),
        ];
        items
            .into_iter()
            .filter(|(.., allowed)| *allowed)
            .map(|(href, icon, word, _)| NavItem {
                href,
                icon,
                word,
                here: self.is_here(href.trim_matches('/')),
            })
            .collect()
    }
}
