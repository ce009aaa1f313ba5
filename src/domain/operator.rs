//! People who run Tidings: what they may do at the console.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an operator may do; each role may do what the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look at everything; addresses are masked.
    Viewer,
    /// Act on notifications and tasks, write drafts.
    Editor,
    /// Publish what somebody else wrote.
    Publisher,
    /// Providers, suppressions, unmasking.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Editor, Self::Publisher, Self::Admin];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Publisher => "publisher",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let role = Self::ALL.into_iter().find(|role| role.as_str() == text);
        role.ok_or_else(|| format!("{text:?} is no role; use viewer, editor, publisher or admin"))
    }
}

/// Somebody at the console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Operator {
    pub name: String,
    pub role: Role,
}

impl Operator {
    /// May they do what takes this role?
    #[must_use]
    pub fn may(&self, role: Role) -> bool {
        self.role >= role
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_the_ones_before_it_may() {
        for (place, role) in Role::ALL.into_iter().enumerate() {
            let operator = Operator { name: "ada".into(), role };
            let allowed = Role::ALL.into_iter().filter(|role| operator.may(*role));
            assert!(allowed.eq(Role::ALL[..=place].iter().copied()), "{role}");
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("root".parse::<Role>().expect_err("none").contains("publisher"));
    }
}
