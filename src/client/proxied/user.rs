//! The Unix user that a program runs as.

use std::{fs, path::PathBuf, process::Command};

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixUser {
    /// The name; the number as text where it has none.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// The id of the primary group.
    pub gid: u32,
    /// The home directory.
    pub home: Option<PathBuf>,
}

/// Why a program cannot run as a user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// There is none of that name.
    #[error(
        "there is no user {0:?} on this machine; name one of /etc/passwd, or write UID:GID in numbers"
    )]
    Unknown(String),
    /// No boundary.
    #[error(
        "user {0} would read the proxy's keys and the identity as well, so that it is no boundary; make \
         a user for the program (useradd --system agent), or leave --user out"
    )]
    NoBoundary(String),
    /// Not allowed.
    #[error(
        "only root can start a program as another user; run idp as root (sudo -E idp proxy exec …), or \
         leave --user out"
    )]
    NotRoot,
}

impl UnixUser {
    /// Finds a user by name, or takes `UID` or `UID:GID` in numbers.
    ///
    /// # Errors
    /// [`UserError::Unknown`].
    pub fn find(text: &str) -> Result<Self, UserError> {
        let unknown = || UserError::Unknown(text.to_owned());
        if let Some((uid, gid)) = text.split_once(':') {
            let number = |text: &str| text.parse().map_err(|_| unknown());
            return Ok(Self {
                name: uid.to_owned(),
                uid: number(uid)?,
                gid: number(gid)?,
                home: None,
            });
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        // Users of a directory service are in no file; getent(1) asks for those too.
        line_of(&passwd, text)
            .or_else(|| {
                let output = Command::new("getent").args(["passwd", "--", text]).output();
                line_of(&String::from_utf8_lossy(&output.ok()?.stdout), text)
            })
            .ok_or_else(unknown)
    }

    /// Whether running as this user, from a process of user `own`, is allowed and keeps anything from
    /// the program.
    ///
    /// # Errors
    /// [`UserError::NoBoundary`] or [`UserError::NotRoot`].
    pub fn check(&self, own: u32) -> Result<(), UserError> {
        self.check_against(own)?;
        if own == 0 {
            Ok(())
        } else {
            Err(UserError::NotRoot)
        }
    }

    /// Whether what belongs to the user `owner` is out of this one's reach.
    ///
    /// # Errors
    /// [`UserError::NoBoundary`].
    pub fn check_against(&self, owner: u32) -> Result<(), UserError> {
        if self.uid == 0 || self.uid == owner {
            return Err(UserError::NoBoundary(self.name.clone()));
        }
        Ok(())
    }
}

/// `name:password:uid:gid:comment:home:shell` (passwd(5)).
fn line_of(passwd: &str, text: &str) -> Option<UnixUser> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, ..] = fields[..] else {
            return None;
        };
        if name != text && uid != text {
            return None;
        }
        Some(UnixUser {
            name: name.to_owned(),
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            home: (!home.is_empty()).then(|| home.into()),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nagent:x:1001:1002::/home/agent:/bin/sh\nbroken\n";

    #[test]
    fn by_name_and_by_number() {
        let agent = line_of(PASSWD, "agent").unwrap();
        assert_eq!((agent.uid, agent.gid), (1001, 1002));
        assert_eq!(agent.home, Some("/home/agent".into()));
        assert_eq!(line_of(PASSWD, "1001"), Some(agent));
        assert_eq!(line_of(PASSWD, "age"), None);
        let numbers = UnixUser::find("4242:4343").unwrap();
        assert_eq!((numbers.uid, numbers.gid), (4242, 4343));
        assert!(UnixUser::find("no-such-user-here").is_err());
        assert!(UnixUser::find("1:x").is_err());
        assert_eq!(UnixUser::find("root").unwrap().uid, 0);
    }

    #[test]
    fn only_root_makes_a_boundary_and_only_against_others() {
        let agent = line_of(PASSWD, "agent").unwrap();
        assert_eq!(agent.check(0), Ok(()));
        assert_eq!(agent.check(1000), Err(UserError::NotRoot));
        assert!(matches!(agent.check(1001), Err(UserError::NoBoundary(_))));
        let root = line_of(PASSWD, "root").unwrap();
        assert!(matches!(root.check(0), Err(UserError::NoBoundary(_))));
    }
}
